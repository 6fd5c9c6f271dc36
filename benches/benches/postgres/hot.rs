//! One account that every client of several processes wants to change: steps of the driver, which
//! load, decide and commit, and begin anew when another was faster.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keywright_core::{AccountId, Keyring};
use keywright_postgres::PostgresStore;
use keywright_store::{Draft, Driver, Partition, Record, Slot, TransactError};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// The first argument of a process that contends.
pub(crate) const CONTEND: &str = "--contend";

pub(crate) const PROCESSES: usize = 4;
/// The connections of each process, of which the driver's turns use one for each account.
const CONNECTIONS: usize = 16;

/// What the clients count up.
#[derive(Serialize, Deserialize)]
struct Count(u64);

impl Record for Count {
    const SCHEMA: u16 = 1;
}

const COUNT: Slot<Count> = Slot::lasting("bench-count");

fn hot() -> Result<AccountId, Failure> {
    Ok(AccountId::new("hot")?)
}

async fn open(url: &str, keyring: &Path) -> Result<Driver, Failure> {
    let store = PostgresStore::builder(url)?.connections(CONNECTIONS).open().await?;
    Ok(Driver::builder(Arc::new(store), Arc::new(Keyring::load(keyring)?)).build()?)
}

/// Counts up by one. `None`: others were faster too often, and nothing was counted.
async fn count_up(driver: &Driver, partition: &Partition) -> Result<Option<u64>, Failure> {
    let step = |draft: &mut Draft<'_>| {
        let Count(count) = draft.read(COUNT)?.unwrap_or(Count(0));
        draft.put(COUNT, &Count(count.saturating_add(1)))?;
        Ok(count)
    };
    match driver.transact(partition, &[COUNT.name()], step).await {
        Ok(count) => Ok(Some(count)),
        Err(TransactError::Busy) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a process does that was started with [`CONTEND`]: for each line `CLIENTS MILLISECONDS` it
/// lets so many clients count for so long, and prints how often they did, and how often they were
/// too late.
#[expect(clippy::print_stdout, reason = "the other process reads it")]
pub(crate) fn contend(url: &str, keyring: &str) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let driver = runtime.block_on(open(url, Path::new(keyring)))?;
    let account = hot()?;
    runtime.block_on(driver.ensure_account(&account))?;
    let partition = Partition::account(&account);
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line?;
        let (clients, time) = line.split_once(' ').ok_or("two numbers")?;
        let (clients, time): (usize, u64) = (clients.parse()?, time.parse()?);
        let (mut done, mut busy) = (0_u64, 0_u64);
        runtime.block_on(async {
            let end = Instant::now().checked_add(Duration::from_millis(time)).ok_or("a time")?;
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..clients {
                let (driver, partition) = (driver.clone(), partition.clone());
                tasks.spawn(async move {
                    let mut counts = (0_u64, 0_u64);
                    while Instant::now() < end {
                        match count_up(&driver, &partition).await? {
                            Some(_) => counts.0 = counts.0.saturating_add(1),
                            None => counts.1 = counts.1.saturating_add(1),
                        }
                    }
                    Ok::<_, Failure>(counts)
                });
            }
            while let Some(counts) = tasks.join_next().await {
                let (counted, late) = counts??;
                (done, busy) = (done.saturating_add(counted), busy.saturating_add(late));
            }
            Ok::<_, Failure>(())
        })?;
        println!("{done} {busy}");
    }
    Ok(())
}

/// A process that contends.
struct Contender {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Contender {
    fn start(url: &str, keyring: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([CONTEND, url]).arg(keyring).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("an input")?;
        let output = BufReader::new(child.stdout.take().ok_or("an output")?);
        let mut contender = Self { child, input, output };
        if contender.line()? != "ready" {
            return Err("a process that contends did not start".into());
        }
        Ok(contender)
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a process that contends has ended".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // If it has ended already, both calls are harmless.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The processes, and how often all of them together have counted.
pub(crate) struct Contenders {
    processes: Vec<Contender>,
    url: String,
    keyring: tempfile::TempPath,
    counted: u64,
}

/// The result of one turn.
pub(crate) struct Turn {
    /// Steps in a second.
    pub(crate) rate: f64,
    /// The part of the attempts that were told that the account is busy.
    pub(crate) busy: f64,
}

impl Contenders {
    pub(crate) fn start(url: String) -> Result<Self, Failure> {
        let keyring = tempfile::Builder::new().prefix("keyring-").tempfile()?.into_temp_path();
        std::fs::remove_file(&keyring)?;
        Keyring::create(&keyring, &keywright_core::SystemEntropy)?;
        let processes: Vec<_> =
            (0..PROCESSES).map(|_| Contender::start(&url, &keyring)).collect::<Result<_, Failure>>()?;
        Ok(Self { processes, url, keyring, counted: 0 })
    }

    /// Lets `clients` clients in each of the first `processes` processes count for a while.
    pub(crate) fn turn(&mut self, processes: usize, clients: usize, time: Duration) -> Result<Turn, Failure> {
        let (mut done, mut busy) = (0_u64, 0_u64);
        let started = Instant::now();
        for contender in self.processes.iter_mut().take(processes) {
            writeln!(contender.input, "{clients} {}", time.as_millis())?;
        }
        for contender in self.processes.iter_mut().take(processes) {
            let line = contender.line()?;
            let (counted, late) = line.split_once(' ').ok_or("two numbers")?;
            (done, busy) = (done.saturating_add(counted.parse()?), busy.saturating_add(late.parse()?));
        }
        let took = started.elapsed().as_secs_f64();
        self.counted = self.counted.saturating_add(done);
        let number = |count: u64| u32::try_from(count).map(f64::from);
        let all = number(done.saturating_add(busy))?;
        Ok(Turn { rate: number(done)? / took, busy: number(busy)? / all.max(1.0) })
    }

    /// Ends the processes, and compares what they were told with what the account has.
    pub(crate) fn end(mut self, runtime: &tokio::runtime::Runtime) -> Result<u64, Failure> {
        self.processes.clear();
        let partition = Partition::account(&hot()?);
        let found = runtime.block_on(async {
            let driver = open(&self.url, &self.keyring).await?;
            let read = |draft: &mut Draft<'_>| Ok(draft.read(COUNT)?.map(|Count(count)| count));
            Ok::<_, Failure>(driver.observe(&partition, &[COUNT.name()], read).await?)
        })?;
        if found != Some(self.counted) {
            return Err(format!("{} steps were acknowledged, and {found:?} are there", self.counted).into());
        }
        Ok(self.counted)
    }
}

//! Checks that a vault of 100,000 ciphers of 400 bytes, uploaded in parts and promoted on SQLite,
//! needs at most 64 MiB, by the peak of the resident size and including the parts' own bodies. A
//! swap in one piece is measured too, without a target, because there the whole vault is in memory
//! once, sealed.
//!
//! `cargo run --release -p keywright-benches --bin upload_memory`. Linux only: it reads
//! `/proc/self/status`. Each act runs in its own process, so that none benefits from memory that
//! another has freed.

use std::path::Path;
use std::sync::Arc;

use keywright_benches::process::{memory, reset_peak};
use keywright_core::{AccountId, Clock as _, Keyring, SecretBytes, SystemClock, SystemEntropy, random_bytes};
use keywright_rekey::{
    CipherList, Edit, EditOutcome, Hex, Limits, PartOutcome, Put, Submission, Swap, UploadStart, VaultPolicy, Vaults,
    id_text,
};
use keywright_sqlite::SqliteStore;
use keywright_store::{CipherId, Driver};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CIPHERS: u32 = 100_000;
const PART: u32 = 2_000;
const ALLOWED_KIB: u64 = 64 << 10;

/// Returns the body of a part: fresh texts of 400 hex digits.
fn body(numbers: std::ops::Range<u32>) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::with_capacity(numbers.len().saturating_mul(480));
    for number in numbers {
        body.push(if body.is_empty() { b'[' } else { b',' });
        let mut id = [0; 16];
        // Spread out, as random ids are.
        id.chunks_exact_mut(4).for_each(|part| part.copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes()));
        let text = hex::encode(random_bytes::<200>(&SystemEntropy)?);
        body.extend_from_slice(format!(r#"{{"id":"{}","data":"{text}"}}"#, id_text(CipherId(id))).as_bytes());
    }
    body.push(b']');
    Ok(body)
}

fn read(body: &[u8]) -> Result<Submission<'_>, Failure> {
    Ok(CipherList::new(body, Limits::default(), &Hex).read_json()?)
}

struct Site {
    vaults: Vaults,
    account: AccountId,
}

impl Site {
    fn open(path: &Path) -> Result<Self, Failure> {
        let store = Arc::new(SqliteStore::builder(path).readers(1).open()?);
        let keyring = Arc::new(Keyring::from_keys(&[SecretBytes::from_slice(&[1; 32])?], &SecretBytes::zeroed())?);
        let driver = Driver::new(store.clone(), keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
        Ok(Self { vaults: Vaults::new(driver, store, VaultPolicy::default()), account: AccountId::new("user-1")? })
    }

    async fn fill(&self) -> Result<(), Failure> {
        self.vaults.driver().ensure_account(&self.account).await?;
        let _ = self.vaults.create(&self.account).await?;
        let key_epoch = self.vaults.head(&self.account).await?.ok_or("no vault")?.key_epoch;
        for start in (0..CIPHERS).step_by(PART as usize) {
            let body = body(start..start.saturating_add(PART))?;
            let part = read(&body)?;
            let put = part.iter().map(|(id, nonce, text)| Put::new(id, nonce, text, b"kind and times")).collect();
            match self.vaults.edit(&self.account, &Edit::new(put, Vec::new()), key_epoch).await? {
                EditOutcome::Done { .. } => {}
                other => return Err(format!("{other:?}").into()),
            }
        }
        Ok(())
    }

    async fn upload(&self) -> Result<(), Failure> {
        let until = SystemClock.now()?.plus(3_600);
        let UploadStart::Begun { upload, .. } = self.vaults.begin_upload(&self.account, None, until).await? else {
            return Err("not begun".into());
        };
        for start in (0..CIPHERS).step_by(PART as usize) {
            let body = body(start..start.saturating_add(PART))?;
            match self.vaults.put_part(&self.account, upload, &read(&body)?).await? {
                PartOutcome::Kept { .. } => {}
                other => return Err(format!("{other:?}").into()),
            }
        }
        done(self.vaults.finish_upload(&self.account, upload, &[], |_| Ok(())).await?)
    }

    async fn swap(&self, body: &[u8]) -> Result<(), Failure> {
        done(self.vaults.swap(&self.account, &read(body)?, None, &[], |_| Ok(())).await?)
    }
}

fn done(outcome: Swap<()>) -> Result<(), Failure> {
    match outcome {
        Swap::Done { ciphers, .. } if ciphers == u64::from(CIPHERS) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Runs one act in this process. Returns its peak beyond the memory in use before, in KiB.
fn act(name: &str, path: &Path) -> Result<u64, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let site = Site::open(path)?;
    let whole = if name == "swap" { body(0..CIPHERS)? } else { Vec::new() };
    reset_peak()?;
    let before = memory("VmRSS")?;
    match name {
        "fill" => runtime.block_on(site.fill())?,
        "upload" => runtime.block_on(site.upload())?,
        _ => runtime.block_on(site.swap(&whole))?,
    }
    Ok(memory("VmHWM")?.saturating_sub(before) / 1024)
}

#[expect(clippy::print_stdout, reason = "the result of a check run by hand")]
fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, path] = arguments.as_slice() {
        println!("{}", act(name, Path::new(path))?);
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store.db");
    let run = |name: &str| -> Result<u64, Failure> {
        let output = std::process::Command::new(std::env::current_exe()?).arg(name).arg(&path).output()?;
        let text = String::from_utf8(output.stdout)?;
        if output.status.success() { Ok(text.trim().parse()?) } else { Err(format!("`{name}` failed").into()) }
    };
    run("fill")?;
    let (upload, swap) = (run("upload")?, run("swap")?);
    println!("{CIPHERS} ciphers of 400 bytes: uploaded in parts {upload} KiB at the peak, in one piece {swap} KiB");
    if upload > ALLOWED_KIB {
        return Err(format!("an upload needs more than {ALLOWED_KIB} KiB").into());
    }
    Ok(())
}

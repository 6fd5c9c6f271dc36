//! What runs beside requests: work that is still due after a crash or a failure, every few seconds, and the store's
//! upkeep, every hour.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keywright::librepass::LibrePass;
use keywright::nextcloud::{DueError, Nextcloud};
use keywright::rocketchat::RocketChat;
use keywright::{AccountId, DuePlace, Housekeeping, HousekeepingError, Keywright, Place};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::hosts::librepass::LibrePassHost;
use crate::hosts::nextcloud::NextcloudHost;
use crate::hosts::rocketchat::RocketChatHost;
use crate::hosts::server::Server;
use crate::limits::token_bucket::TokenBuckets;
use crate::notices::Notices;
use crate::running::Running;

/// How often due work is looked for. How often one piece of it is tried is in the records: the pauses grow to an hour.
const DUE_EVERY: Duration = Duration::from_secs(10);
const UPKEEP_EVERY: Duration = Duration::from_secs(3600);
/// How long the start waits for due work; what is not done by then is done later.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Records looked at, or dropped, in one go: a pause for the writer between two of them.
const LIMIT: u32 = 500;
/// Accounts whose work is done at the same time: a mail server that says nothing holds up so many.
const AT_ONCE: usize = 8;

/// A round over accounts that are owed work, and where it stands.
enum Round {
    /// Those whose work may be tried now.
    Due(Option<DuePlace>),
    /// All that are owed something, by their sealed roots, whatever the index says.
    All(Option<Place>),
    /// All of the index, pauses passed over.
    AtStart(Option<DuePlace>),
}

/// Everything that is looked after.
pub(crate) struct Housekeeper {
    pub(crate) keywright: Keywright,
    pub(crate) notices: Notices,
    pub(crate) nextcloud: Nextcloud<NextcloudHost>,
    pub(crate) rocketchat: RocketChat<RocketChatHost>,
    pub(crate) librepass: LibrePass<LibrePassHost>,
    pub(crate) server: Arc<Server>,
    /// Those of LibrePass and of the unlock page. `None`: no request limits.
    pub(crate) librepass_limits: Option<Arc<TokenBuckets>>,
    /// Requests, due work, and mails.
    pub(crate) running: Running,
    pub(crate) beginnings: Beginnings,
}

/// What decides whether an account's work may begin.
pub(crate) struct Beginnings {
    /// A permit for each account that is worked on.
    at_once: Arc<Semaphore>,
    /// Whether every claim on due work is a dead process's: before any request is served, and by a server that is alone at
    /// its store.
    no_claim_lives: AtomicBool,
}

impl Default for Beginnings {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(AT_ONCE)), no_claim_lives: AtomicBool::new(false) }
    }
}

impl Housekeeper {
    /// Tries everything that is due at once, for a short while. Only before any request is served, and by a server that is
    /// alone at its store: there every claim is a dead process's. Another one begins with what is free.
    pub(crate) async fn start(self: &Arc<Self>) {
        let no_claim_lives = &self.beginnings.no_claim_lives;
        no_claim_lives.store(true, Ordering::SeqCst);
        let housekeeper = Arc::clone(self);
        let round = self.running.spawn(async move {
            let round = housekeeper.finish_all(Round::AtStart(None)).await?;
            round.ended().await;
            Ok(())
        });
        // Whatever was begun goes on: a mail that is cut off in the middle goes out twice.
        match timeout(START_WITHIN, round).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => warn(&error),
            Ok(Err(_)) => tracing::error!("due work was cut short"),
            Err(_) => tracing::warn!("due work takes long; the server starts, and goes on with it later"),
        }
        no_claim_lives.store(false, Ordering::SeqCst);
    }

    /// Runs until the server stops.
    pub(crate) async fn keep(self: Arc<Self>) {
        tokio::select! {
            () = self.running.stopping() => {}
            () = self.keep_due_work() => {}
            () = self.keep_store() => {}
        }
    }

    async fn keep_due_work(self: &Arc<Self>) {
        let mut rounds = interval(DUE_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = rounds.tick() => {}
                () = self.server.wake.notified() => {}
            }
            // The next round need not wait for this one's work: what is claimed is not found.
            if let Err(error) = self.finish_all(Round::Due(None)).await {
                warn(&error);
            }
        }
    }

    /// The first round at once.
    async fn keep_store(self: &Arc<Self>) {
        let mut rounds = interval(UPKEEP_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            if let Some(limits) = &self.librepass_limits {
                limits.forget();
            }
            self.upkeep().await;
        }
    }

    /// Each part is tried, whatever has become of those before it.
    async fn upkeep(self: &Arc<Self>) {
        let housekeeping = self.keywright.housekeeping();
        match housekeeping.move_horizon().await {
            Ok(horizon) if horizon.clock_is_ahead => tracing::warn!(
                horizon = %horizon.at,
                "the clock is more than a day ahead of where the store was last swept: it was off for long, or it is wrong"
            ),
            Ok(_) => {}
            Err(error) => warn(&error),
        }
        if let Err(error) = sweep(&housekeeping).await {
            warn(&error);
        }
        if let Err(error) = forget_events(&housekeeping).await {
            warn(&error);
        }
        if let Err(error) = self.finish_all(Round::All(None)).await {
            warn(&error);
        }
    }

    /// Begins the work of every account of a round, a few at the same time, each as a task of its own. Returns those that
    /// still run.
    async fn finish_all(self: &Arc<Self>, round: Round) -> Result<Running, HousekeepingError> {
        let (begun, mut next) = (Running::default(), Some(round));
        while let Some(round) = next {
            let (accounts, rest) = self.stretch(round).await?;
            next = rest;
            for account in accounts {
                let permit = Arc::clone(&self.beginnings.at_once).acquire_owned().await;
                if self.running.is_stopping() {
                    return Ok(begun);
                }
                let housekeeper = Arc::clone(self);
                let work = async move {
                    let _permit = permit;
                    housekeeper.finish_due(&account).await;
                };
                drop(self.running.spawn(begun.counted(work)));
            }
        }
        Ok(begun)
    }

    async fn stretch(&self, round: Round) -> Result<(Vec<AccountId>, Option<Round>), HousekeepingError> {
        let housekeeping = self.keywright.housekeeping();
        Ok(match round {
            Round::Due(after) => {
                let due = housekeeping.due(after, LIMIT).await?;
                (due.accounts, due.next.map(|next| Round::Due(Some(next))))
            }
            Round::AtStart(after) => {
                let due = housekeeping.due_at_start(after, LIMIT).await?;
                (due.accounts, due.next.map(|next| Round::AtStart(Some(next))))
            }
            Round::All(after) => {
                // What does not open is in the log: the driver's observer has heard of it.
                let owed = housekeeping.owed(after, LIMIT).await?;
                (owed.accounts, owed.next.map(|next| Round::All(Some(next))))
            }
        })
    }

    /// Work that fails must keep neither the account's other work nor other accounts waiting.
    async fn finish_due(&self, account: &AccountId) {
        let at_start = || self.beginnings.no_claim_lives.load(Ordering::SeqCst);
        let still_due = |error: &DueError| {
            tracing::warn!(%account, error = error as &dyn Error, "work for an account is still due");
        };
        let nextcloud = match at_start() {
            true => self.nextcloud.finish_due_at_start(account).await,
            false => self.nextcloud.finish_due(account).await,
        };
        if let Err(error) = nextcloud {
            still_due(&error);
        }
        if let Err(error) = self.rocketchat.finish_due(account, at_start()).await {
            still_due(&error);
        }
        let librepass = match at_start() {
            true => self.librepass.finish_due_at_start(account).await,
            false => self.librepass.finish_due(account).await,
        };
        if let Err(error) = librepass {
            still_due(&error);
        }
        if let Err(error) = self.notices.finish_due(account, at_start()).await {
            tracing::warn!(%account, error = &error as &dyn Error, "a notice is still due");
        }
    }
}

async fn sweep(housekeeping: &Housekeeping) -> Result<(), HousekeepingError> {
    while housekeeping.sweep(LIMIT).await? >= u64::from(LIMIT) {}
    Ok(())
}

async fn forget_events(housekeeping: &Housekeeping) -> Result<(), HousekeepingError> {
    while housekeeping.forget_events(LIMIT).await? >= u64::from(LIMIT) {}
    Ok(())
}

fn warn(error: &HousekeepingError) {
    tracing::warn!(error = error as &dyn Error, "housekeeping was cut short; it goes on later");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::directory::Accounts;
    use crate::accounts::new_account::NewAccount;
    use crate::accounts::slots::SLOT_KINDS;
    use crate::notices::Notice;
    use crate::options::Options;
    use crate::start::assemble;
    use clap::Parser;
    use keywright::store::CommitError;
    use keywright::store::due::{self, CLAIM_LASTS, DUE, DueTask};
    use keywright::{Keyring, ManualClock, MemoryStore, SystemEntropy, UnixSeconds};
    use keywright_testing::{Call, HookedStore, Reply};
    use std::net::TcpListener;

    /// A store whose horizon does not move, which sweeps nothing, and whose index of due work is empty.
    fn worn() -> Arc<HookedStore<MemoryStore>> {
        let store = HookedStore::memory();
        store.before_writes(|call| {
            let is_upkeep = matches!(call, Call::MoveHorizon(_) | Call::Sweep | Call::ForgetEvents(_));
            async move { if is_upkeep { Err(CommitError::Rejected("worn".into())) } else { Ok(()) } }
        });
        store.after(|reply| {
            if let Reply::Due(answer) = reply {
                *answer = Ok(Vec::new());
            }
        });
        store
    }

    async fn housekeeper(
        builder: keywright::Builder,
        clock: &Arc<ManualClock>,
        mail: [&str; 2],
    ) -> (Arc<Housekeeper>, AccountId) {
        let builder = builder.keyring(Keyring::generate(&SystemEntropy).unwrap()).slots(SLOT_KINDS);
        let keywright = builder.clock(Arc::clone(clock) as Arc<_>).open().await.unwrap();
        let accounts = Arc::new(Accounts::new(keywright.driver().clone()).unwrap());
        let alice = NewAccount {
            name: "alice".to_owned(),
            email: Some("alice@example.org".to_owned()),
            login_password: None,
            app_passwords: Vec::new(),
            rocketchat: None,
        };
        accounts.seed(&alice).await.unwrap();
        let account = accounts.find("alice").await.unwrap().unwrap();
        let options = Options::parse_from(["account-server"].into_iter().chain(mail));
        let url = "https://example.org".parse().unwrap();
        (Arc::new(assemble(&options, keywright, accounts, false, url).await.unwrap()), account)
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)))
    }

    async fn pending(housekeeper: &Housekeeper, account: &AccountId) -> Vec<DueTask> {
        housekeeper.keywright.driver().observe(&account.into(), &[DUE.name()], due::pending).await.unwrap()
    }

    #[tokio::test]
    async fn upkeep_that_fails_in_one_part_goes_on_with_the_next() {
        let (clock, folder) = (clock(), tempfile::tempdir().unwrap());
        let outbox = folder.path().join("outbox");
        let builder = Keywright::builder_shared(worn());
        let (housekeeper, account) = housekeeper(builder, &clock, ["--outbox", outbox.to_str().unwrap()]).await;
        housekeeper.notices.add(&account, Notice::AccountReset, b"one").await.unwrap().unwrap();
        clock.advance(CLAIM_LASTS);
        housekeeper.upkeep().await;
        housekeeper.running.ended().await;
        assert!(std::fs::read_to_string(&outbox).unwrap().contains("To: alice@example.org\n"));
        assert_eq!(pending(&housekeeper, &account).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_takes_long_cuts_no_mail_off() {
        // It takes connections, by its backlog, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let smtp = format!("smtp://{}", silent.local_addr().unwrap());
        let clock = clock();
        let (housekeeper, account) =
            housekeeper(Keywright::builder(MemoryStore::new()), &clock, ["--smtp", &smtp]).await;
        housekeeper.notices.add(&account, Notice::AccountReset, b"one").await.unwrap().unwrap();
        let begun = tokio::time::Instant::now();
        housekeeper.start().await;
        assert_eq!(begun.elapsed().as_secs(), START_WITHIN.as_secs());
        assert_eq!(
            pending(&housekeeper, &account).await.first().map(|task| task.failures),
            Some(0),
            "it is still tried"
        );
        housekeeper.running.ended().await;
        // Had it been cut off, its claim would not have been given back.
        assert_eq!(pending(&housekeeper, &account).await.first().map(|task| task.failures), Some(1));
        assert!(!housekeeper.beginnings.no_claim_lives.load(Ordering::SeqCst));
    }
}

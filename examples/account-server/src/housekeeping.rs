//! Background work: every few seconds, work that is still due after a crash or a failure; every
//! hour, the store's upkeep.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keywright::librepass::LibrePass;
use keywright::nextcloud::{DueError, Nextcloud};
use keywright::rocketchat::RocketChat;
use keywright::{AccountId, Cursor, DueCursor, Housekeeping, HousekeepingError, Keywright};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::hosts::librepass::LibrePassHost;
use crate::hosts::nextcloud::NextcloudHost;
use crate::hosts::rocketchat::RocketChatHost;
use crate::hosts::server::Server;
use crate::limits::token_bucket::TokenBuckets;
use crate::notices::Notices;
use crate::running::Running;
use crate::signin::routes::SignIn;

/// How often due work is searched for. How often one task is tried is in the records, where the
/// pauses grow to an hour.
const DUE_EVERY: Duration = Duration::from_secs(10);
const UPKEEP_EVERY: Duration = Duration::from_secs(3600);
/// How long the start waits for due work. The rest is done later.
const START_WITHIN: Duration = Duration::from_secs(3);
/// How many records are read or dropped at once. In between, the store's writer can do other work.
const LIMIT: u32 = 500;
/// How many accounts' work is done at the same time. A mail server that does not respond holds up
/// this many.
const AT_ONCE: usize = 8;

/// A round over accounts that have due work, and its position.
enum Round {
    /// The accounts whose work may be tried now.
    Due(Option<DueCursor>),
    /// All accounts that have due work according to their sealed roots, whatever the index holds.
    All(Option<Cursor>),
    /// All accounts of the index, whether or not their pauses are over.
    AtStart(Option<DueCursor>),
}

/// Everything that housekeeping takes care of.
pub(crate) struct Housekeeper {
    pub(crate) keywright: Keywright,
    pub(crate) notices: Notices,
    pub(crate) nextcloud: Nextcloud<NextcloudHost>,
    pub(crate) rocketchat: RocketChat<RocketChatHost>,
    pub(crate) librepass: LibrePass<LibrePassHost>,
    pub(crate) sign_in: SignIn,
    pub(crate) server: Arc<Server>,
    /// The limits of LibrePass and of the unlock page, or `None` for no limits.
    pub(crate) librepass_limits: Option<Arc<TokenBuckets>>,
    /// Counts requests, due work, and mails.
    pub(crate) running: Running,
    pub(crate) beginnings: Beginnings,
}

/// Decides whether an account's work may start.
pub(crate) struct Beginnings {
    /// A permit for each account that is being worked on.
    at_once: Arc<Semaphore>,
    /// Whether every claim on due work belongs to a dead process. This holds before any request is
    /// served, if no other server uses the store.
    no_claim_lives: AtomicBool,
}

impl Default for Beginnings {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(AT_ONCE)), no_claim_lives: AtomicBool::new(false) }
    }
}

impl Housekeeper {
    /// Tries everything that is due once, for a short while. Call it only before any request is
    /// served. If no other server uses the store, every claim belongs to a dead process, and all
    /// work is tried. Otherwise only unclaimed work is.
    pub(crate) async fn start(self: &Arc<Self>) {
        let no_claim_lives = &self.beginnings.no_claim_lives;
        no_claim_lives.store(true, Ordering::SeqCst);
        let housekeeper = Arc::clone(self);
        let round = self.running.spawn(async move {
            let round = housekeeper.finish_all(Round::AtStart(None)).await?;
            round.ended().await;
            Ok(())
        });
        // Work that was started continues, because a mail that is cut off in the middle is sent
        // twice.
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
            self.read_keyring();
            // The next round need not wait for this one's work, because claimed work is not found.
            if let Err(error) = self.finish_all(Round::Due(None)).await {
                warn(&error);
            }
        }
    }

    /// Takes over keys that were added to the keyring since, so that a key is not used any more soon
    /// after a newer one was added.
    fn read_keyring(&self) {
        match self.keywright.driver().keyring().refresh() {
            Ok(false) => {}
            Ok(true) => tracing::info!("the keyring has a new key"),
            Err(error) => tracing::warn!(error = &error as &dyn Error, "the keyring was not read again"),
        }
    }

    /// The first round runs at once.
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

    /// Each part is tried, whether or not those before it have failed.
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

    /// Starts the work of every account of a round, a few at the same time, each as a separate
    /// task. Returns the tasks that still run.
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
                // Records that do not open are in the log, because the driver has reported them to
                // the observer.
                let scan = housekeeping.scan_due(after, LIMIT).await?;
                (scan.accounts, scan.next.map(|next| Round::All(Some(next))))
            }
        })
    }

    /// Work that fails must hold up neither the account's other work nor other accounts.
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

    /// A store whose horizon does not move, which sweeps nothing, and whose index of due work is
    /// empty.
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
        // It accepts connections, through its backlog, and never responds.
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
        // If it had been cut off, its claim would not have been released.
        assert_eq!(pending(&housekeeper, &account).await.first().map(|task| task.failures), Some(1));
        assert!(!housekeeper.beginnings.no_claim_lives.load(Ordering::SeqCst));
    }
}

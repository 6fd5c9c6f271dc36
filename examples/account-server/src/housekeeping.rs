//! What runs beside requests: work that is still due after a crash or a failure, every few seconds, and the store's
//! upkeep, every hour.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use keywright::librepass::LibrePass;
use keywright::nextcloud::{DueError, Nextcloud};
use keywright::rocketchat::RocketChat;
use keywright::{AccountId, HousekeepingError, Keywright};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::chat::Chat;
use crate::host::Server;
use crate::notices::Notices;
use crate::pass::Pass;
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

/// Which accounts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those whose work may be tried now.
    Due,
    /// All that are owed something, whatever the store has noted of when: a clock that ran ahead may have put it off.
    All,
    /// All, pauses and the claims of earlier processes passed over.
    AtStart,
}

/// Everything that is looked after.
pub(crate) struct House {
    pub(crate) keywright: Keywright,
    pub(crate) notices: Notices,
    pub(crate) nextcloud: Nextcloud<Server>,
    pub(crate) rocketchat: RocketChat<Chat>,
    pub(crate) librepass: LibrePass<Pass>,
    pub(crate) pass: Arc<Pass>,
    /// Requests.
    pub(crate) running: Running,
}

impl House {
    /// Tries everything that is due at once, for a short while. Before any request is served: this server is alone at its
    /// store, so every claim is a dead process's.
    pub(crate) async fn start(self: &Arc<Self>) {
        match timeout(START_WITHIN, self.finish_all(Which::AtStart)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn(&error),
            Err(_) => tracing::warn!("due work takes long; the server starts, and goes on with it later"),
        }
    }

    /// Runs until it is aborted.
    pub(crate) async fn keep(self: Arc<Self>) {
        tokio::join!(self.keep_due_work(), self.keep_store());
    }

    async fn keep_due_work(self: &Arc<Self>) {
        let mut rounds = interval(DUE_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            if let Err(error) = self.finish_all(Which::Due).await {
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
            if let Some(buckets) = &self.pass.buckets {
                buckets.forget();
            }
            if let Err(error) = self.upkeep().await {
                warn(&error);
            }
        }
    }

    async fn upkeep(self: &Arc<Self>) -> Result<(), HousekeepingError> {
        let housekeeping = self.keywright.housekeeping();
        let horizon = housekeeping.move_horizon().await?;
        if horizon.clock_is_ahead {
            tracing::warn!(
                horizon = %horizon.at,
                "the clock is more than a day ahead of where the store was last swept: it was off for long, or it is wrong"
            );
        }
        while housekeeping.sweep(LIMIT).await? >= u64::from(LIMIT) {}
        while housekeeping.forget_events(LIMIT).await? >= u64::from(LIMIT) {}
        self.finish_all(Which::All).await
    }

    async fn finish_all(self: &Arc<Self>, which: Which) -> Result<(), HousekeepingError> {
        let mut at_work = JoinSet::new();
        for account in self.owed(which).await? {
            if at_work.len() >= AT_ONCE {
                at_work.join_next().await;
            }
            let house = Arc::clone(self);
            at_work.spawn(async move { house.finish_due(&account, which == Which::AtStart).await });
        }
        while at_work.join_next().await.is_some() {}
        Ok(())
    }

    /// Read to the end before any of it is done: what is done leaves the list, and would shift the places in it.
    async fn owed(&self, which: Which) -> Result<Vec<AccountId>, HousekeepingError> {
        let housekeeping = self.keywright.housekeeping();
        let (mut accounts, mut place) = (Vec::new(), None);
        loop {
            let due = match which {
                Which::Due => housekeeping.due(place, LIMIT).await?,
                Which::All | Which::AtStart => housekeeping.due_at_start(place, LIMIT).await?,
            };
            accounts.extend(due.accounts);
            match due.next {
                Some(next) => place = Some(next),
                None => return Ok(accounts),
            }
        }
    }

    /// Work that fails must keep neither the account's other work nor other accounts waiting.
    async fn finish_due(&self, account: &AccountId, at_start: bool) {
        let still_due = |error: &DueError| {
            tracing::warn!(%account, error = error as &dyn Error, "work for an account is still due");
        };
        let nextcloud = match at_start {
            true => self.nextcloud.finish_due_at_start(account).await,
            false => self.nextcloud.finish_due(account).await,
        };
        if let Err(error) = nextcloud {
            still_due(&error);
        }
        if let Err(error) = self.rocketchat.finish_due(account, at_start).await {
            still_due(&error);
        }
        let librepass = match at_start {
            true => self.librepass.finish_due_at_start(account).await,
            false => self.librepass.finish_due(account).await,
        };
        if let Err(error) = librepass {
            still_due(&error);
        }
        if let Err(error) = self.notices.finish_due(account, at_start).await {
            tracing::warn!(%account, error = &error as &dyn Error, "a notice is still due");
        }
    }
}

fn warn(error: &HousekeepingError) {
    tracing::warn!(error = error as &dyn Error, "housekeeping was cut short; it goes on later");
}

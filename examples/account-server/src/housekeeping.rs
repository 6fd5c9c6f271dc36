//! What runs beside requests, once an hour: the sweep, and work that is still due after a crash or a failure.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use keywright::librepass::LibrePass;
use keywright::nextcloud::Nextcloud;
use keywright::rocketchat::RocketChat;
use keywright::{AccountId, Housekeeping, Keywright};

use crate::chat::Chat;
use crate::host::Server;
use crate::pass::Pass;

const EVERY: Duration = Duration::from_secs(3600);
/// Records looked at, or dropped, in one go: a pause for the writer between two of them.
const LIMIT: u32 = 500;
/// How long security events are kept, in seconds: a year.
const EVENTS_AGE: u64 = 365 * 86_400;

/// Everything that is looked after.
pub(crate) struct House {
    pub(crate) keywright: Keywright,
    pub(crate) nextcloud: Nextcloud<Server>,
    pub(crate) rocketchat: RocketChat<Chat>,
    pub(crate) librepass: LibrePass<Pass>,
    pub(crate) pass: Arc<Pass>,
}

impl House {
    /// Runs until it is aborted, the first round at once.
    pub(crate) async fn keep(self) {
        let mut hours = tokio::time::interval(EVERY);
        loop {
            hours.tick().await;
            if let Some(buckets) = &self.pass.buckets {
                buckets.forget();
            }
            if let Err(error) = self.round(&self.keywright.housekeeping()).await {
                tracing::warn!(error, "housekeeping was cut short; it goes on in an hour");
            }
        }
    }

    async fn round(&self, housekeeping: &Housekeeping) -> Result<(), Box<dyn Error + Send + Sync>> {
        while housekeeping.sweep(LIMIT).await? >= u64::from(LIMIT) {}
        while housekeeping.forget_events(EVENTS_AGE, LIMIT).await? >= u64::from(LIMIT) {}
        let mut place = None;
        loop {
            let due = housekeeping.due(place, LIMIT).await?;
            for account in due.accounts {
                self.finish_due(&account).await;
            }
            match due.next {
                Some(next) => place = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// One account whose work fails must not keep the others from theirs.
    async fn finish_due(&self, account: &AccountId) {
        if let Err(error) = self.nextcloud.finish_due(account).await {
            tracing::warn!(%account, %error, "work for an account is still due");
        }
        if let Err(error) = self.rocketchat.finish_due(account).await {
            tracing::warn!(%account, %error, "work for an account is still due");
        }
        if let Err(error) = self.librepass.finish_due(account).await {
            tracing::warn!(%account, %error, "work for an account is still due");
        }
    }
}

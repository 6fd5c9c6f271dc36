//! What runs beside requests, once an hour: the sweep, and work that is still due after a crash or a failure.

use std::error::Error;
use std::time::Duration;

use keywright::nextcloud::Nextcloud;
use keywright::rocketchat::RocketChat;
use keywright::{Housekeeping, Keywright};

use crate::chat::Chat;
use crate::host::Server;

const EVERY: Duration = Duration::from_secs(3600);
/// Records looked at, or dropped, in one go: a pause for the writer between two of them.
const LIMIT: u32 = 500;
/// How long security events are kept, in seconds: a year.
const EVENTS_AGE: u64 = 365 * 86_400;

/// Runs until it is aborted, the first round at once.
pub(crate) async fn run(keywright: Keywright, nextcloud: Nextcloud<Server>, rocketchat: RocketChat<Chat>) {
    let mut hours = tokio::time::interval(EVERY);
    loop {
        hours.tick().await;
        if let Err(error) = round(&keywright.housekeeping(), &nextcloud, &rocketchat).await {
            tracing::warn!(error, "housekeeping was cut short; it goes on in an hour");
        }
    }
}

async fn round(
    housekeeping: &Housekeeping,
    nextcloud: &Nextcloud<Server>,
    rocketchat: &RocketChat<Chat>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    while housekeeping.sweep(LIMIT).await? >= u64::from(LIMIT) {}
    while housekeeping.forget_events(EVENTS_AGE, LIMIT).await? >= u64::from(LIMIT) {}
    let mut place = None;
    loop {
        let due = housekeeping.due(place, LIMIT).await?;
        for account in due.accounts {
            // One account whose work fails must not keep the others from theirs.
            if let Err(error) = nextcloud.finish_due(&account).await {
                tracing::warn!(%account, %error, "work for an account is still due");
            }
            if let Err(error) = rocketchat.finish_due(&account).await {
                tracing::warn!(%account, %error, "work for an account is still due");
            }
        }
        match due.next {
            Some(next) => place = Some(next),
            None => return Ok(()),
        }
    }
}

//! What happened in an account.

use keywright_core::{EventChain, SecurityEvent, UnixSeconds};

use crate::answer::Failure;
use crate::context::Context;
use crate::host::{Caller, Host};

/// The field in which some events name a device.
const DEVICE_FIELD: &str = "device";

/// One event, as it is shown.
pub(crate) struct Entry {
    pub(crate) at: UnixSeconds,
    pub(crate) kind: String,
    /// The id of the authenticator that the event is about.
    pub(crate) device: Option<String>,
    /// Whether something was refused.
    pub(crate) denied: bool,
}

/// Returns the newest events, newest first.
pub(crate) async fn recent<H: Host>(cx: &Context<H>, caller: &Caller, limit: u32) -> Result<Vec<Entry>, Failure> {
    let events = cx.driver.recent_events(&caller.account, limit).await?;
    Ok(events.iter().map(entry).collect())
}

fn entry(event: &SecurityEvent) -> Entry {
    Entry {
        at: event.at,
        kind: event.kind().to_owned(),
        device: event.text(DEVICE_FIELD).map(str::to_owned),
        denied: event.chain == EventChain::Denials,
    }
}

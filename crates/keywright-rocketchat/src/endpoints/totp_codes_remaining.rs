//! `GET users.totp.codesRemaining`: how many recovery codes are unused.

use keywright_store::{Draft, Partition};
use keywright_twofactor::SLOTS;
use serde_json::json;

use crate::caller::Caller;
use crate::host::Host;
use crate::service::{Answered, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Answered {
    let partition = Partition::account(&caller.user.account);
    let look = |draft: &mut Draft<'_>| parts.factors.enrolled_in(draft).map(|enrolled| enrolled.recovery.unwrap_or(0));
    let remaining = parts.driver.observe(&partition, SLOTS, look).await?;
    Ok(Ok(Reply::ok(&json!({"success": true, "remaining": remaining}))))
}

//! `GET session/keepalive`: refreshes the session. Never changes a live id; a dead one is answered with a fresh one.

use super::success;
use crate::host::Host;
use crate::service::{Answer, Caller, Failure, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    Ok(parts.step(caller, &[], |_, _| Ok(())).await?.answer(|()| Ok(success())))
}

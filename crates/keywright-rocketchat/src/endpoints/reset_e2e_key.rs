//! `POST users.resetE2EKey`: removes end-to-end keys, one's own or another's, and ends all their owner's logins.

use crate::caller::Caller;
use crate::host::{Endpoint, Host};
use crate::request::{SentCode, Target};
use crate::service::{Answered, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, sent: &SentCode, target: Target) -> Answered {
    super::reset::run(parts, caller, sent, Endpoint::ResetE2eKey, target).await
}

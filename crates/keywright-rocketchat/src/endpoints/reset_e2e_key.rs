//! `POST users.resetE2EKey`: removes end-to-end keys, the caller's own or another user's, and ends
//! all their owner's logins.

use keywright_wire::Reply;

use crate::answer::Failure;
use crate::context::{Caller, Context};
use crate::host::{Endpoint, Host};
use crate::params::Target;
use crate::request::SentCode;
use crate::reset;

pub(crate) async fn run<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    sent: &SentCode,
    target: &Target,
) -> Result<Reply, Failure> {
    reset::run(cx, caller, sent, target, Endpoint::ResetE2eKey).await
}

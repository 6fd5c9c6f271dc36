//! `POST users.2fa.enableEmail`: mailed codes are required from now on, and all other logins end.
//! Every address must be verified, and an active factor must be proven.

use keywright_wire::Reply;

use crate::act::Act;
use crate::answer::{Failure, success};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::factors::end_other_logins;
use crate::guard::Guard;
use crate::host::{Endpoint, Host};
use crate::method::Demand;
use crate::params::Target;
use crate::request::SentCode;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, sent: &SentCode) -> Result<Reply, Failure> {
    if caller.user.verified_emails.is_empty() || caller.user.has_unverified_email {
        return Err(ApiError::not_allowed().into());
    }
    let act = Act::new(Endpoint::EnableEmail, Target::Own);
    let guard = Guard { cx, caller, sent, act, demand: Demand::ToAdd };
    guard
        .run(|draft, proof| {
            if cx.factors.set_email_in(draft, true)? {
                end_other_logins(draft, caller)?;
            }
            Ok(proof.map(drop))
        })
        .await?;
    Ok(success())
}

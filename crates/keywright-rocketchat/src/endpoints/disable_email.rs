//! `POST users.2fa.disableEmail`: mailed codes are no longer required. It always requires a new
//! proof.

use keywright_wire::Reply;

use crate::act::Act;
use crate::answer::{Failure, success};
use crate::context::{Caller, Context};
use crate::factors::end_other_logins_by_policy;
use crate::guard::Guard;
use crate::host::{Endpoint, Host};
use crate::method::Demand;
use crate::params::Target;
use crate::request::SentCode;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, sent: &SentCode) -> Result<Reply, Failure> {
    let act = Act::new(Endpoint::DisableEmail, Target::Own);
    let guard = Guard { cx, caller, sent, act, demand: Demand::Enrolled };
    guard
        .run(|draft, proof| {
            if cx.factors.set_email_in(draft, false)? {
                end_other_logins_by_policy(cx, draft, caller)?;
            }
            Ok(proof.map(drop))
        })
        .await?;
    Ok(success())
}

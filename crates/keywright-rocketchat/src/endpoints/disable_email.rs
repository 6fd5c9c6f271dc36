//! `POST users.2fa.disableEmail`: mailed codes are no longer asked for. Proven anew, always.

use super::end_other_logins_by_policy;
use crate::caller::Caller;
use crate::factors::Demand;
use crate::guard::{Act, Guard};
use crate::host::{Endpoint, Host};
use crate::request::{SentCode, Target};
use crate::service::{Answered, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, sent: &SentCode) -> Answered {
    let act = Act::new(Endpoint::DisableEmail, Target::Own);
    let guard = Guard { parts, caller, sent, act, demand: Demand::Enrolled };
    let disabled = guard
        .run(|draft, proof| {
            if parts.factors.set_email_in(draft, false)? {
                end_other_logins_by_policy(parts, draft, caller)?;
            }
            Ok(proof.map(drop))
        })
        .await?;
    Ok(disabled.map(|()| Reply::success()))
}

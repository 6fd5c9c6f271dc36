//! `POST users.2fa.enableEmail`: mailed codes are asked for from now on, and all other logins end. Every address must be
//! verified; a factor that is active is proven.

use super::end_other_logins;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::factors::Demand;
use crate::guard::{Act, Guard};
use crate::host::{Endpoint, Host};
use crate::request::{SentCode, Target};
use crate::service::{Answered, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, sent: &SentCode) -> Answered {
    if caller.user.verified_emails.is_empty() || caller.user.has_unverified_email {
        return Ok(Err(ApiError::not_allowed()));
    }
    let act = Act::new(Endpoint::EnableEmail, Target::Own);
    let guard = Guard { parts, caller, sent, act, demand: Demand::ToAdd };
    let enabled = guard
        .run(|draft, proof| {
            if parts.factors.set_email_in(draft, true)? {
                end_other_logins(draft, caller)?;
            }
            Ok(proof.map(drop))
        })
        .await?;
    Ok(enabled.map(|()| Reply::success()))
}

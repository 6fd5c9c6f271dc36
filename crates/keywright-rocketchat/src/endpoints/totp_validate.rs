//! `POST users.totp.validate`: the first code of a new device makes it active, shows the recovery codes, and ends all
//! other logins. Only the login that began can: an enrolling code is never charged, its secret was just shown to the caller.

use keywright_core::SecretString;
use keywright_twofactor::{Confirming, SLOTS, recovery::Liveness};

use super::{codes, end_other_logins};
use crate::caller::Caller;
use crate::error::ApiError;
use crate::host::Host;
use crate::service::{Answered, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, code: &SecretString) -> Answered {
    let session = parts.session(caller);
    let made = parts
        .step_for(caller, SLOTS, |draft| {
            let client = caller.client(draft);
            let Confirming::Active(_) = parts.factors.confirm_enrolment_in(draft, &session, code.expose(), client)?
            else {
                return Ok(None);
            };
            end_other_logins(draft, caller)?;
            // The wire has no acknowledgement: live in the commit that shows them (`decisions.md` 23).
            parts.factors.make_recovery_in(draft, Liveness::Now, client).map(Some)
        })
        .await?;
    Ok(match made {
        Some(made) => Ok(codes(&made)),
        None => Err(ApiError::invalid_totp()),
    })
}

//! `POST users.totp.validate`: the first code of a new device makes it active, shows the recovery codes, and ends all
//! other logins. An enrolling code is never charged: its secret was just shown to the caller.

use keywright_core::SecretString;
use keywright_store::Slot;
use keywright_twofactor::{Confirming, recovery::Liveness};

use super::{FACTORS, codes, end_other_logins};
use crate::error::ApiError;
use crate::host::{Host, Login};
use crate::service::{Answered, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Login, code: &SecretString) -> Answered {
    let slots: Vec<Slot> = FACTORS.to_vec();
    let (made, receipt) = parts
        .step_alone(&caller.user.account, &slots, |draft| {
            let Confirming::Active(_) = parts.factors.confirm_enrolment_in(draft, code.expose())? else {
                return Ok(None);
            };
            end_other_logins(draft, caller)?;
            // The wire has no acknowledgement: live in the commit that shows them (`decisions.md` 23).
            parts.factors.make_recovery_in(draft, Liveness::Now).map(Some)
        })
        .await?;
    Ok(match made {
        Some(made) => Ok(codes(&made.release(&receipt)?)),
        None => Err(ApiError::invalid_totp()),
    })
}

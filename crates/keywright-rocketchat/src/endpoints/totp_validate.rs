//! `POST users.validateTotp`: the first code of a new device makes it active, shows the recovery
//! codes, and ends all other logins. Only the login that began the enrolment can do so. An
//! enrolling code is never charged, because its secret was just shown to the caller.

use keywright_core::SecretString;
use keywright_twofactor::{EnrolmentOutcome, SLOTS, recovery::Liveness};
use keywright_wire::Reply;

use crate::answer::{Failure, codes};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::factors::end_other_logins;
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, code: &SecretString) -> Result<Reply, Failure> {
    let session = cx.session(caller);
    let made = cx
        .step_for(caller, SLOTS, |draft| {
            let client = caller.client(draft);
            let EnrolmentOutcome::Active(_) = cx.factors.confirm_enrolment_in(draft, session, code.expose(), client)?
            else {
                return Ok(None);
            };
            end_other_logins(draft, caller)?;
            // The protocol has no acknowledgement: the codes are live in the commit that shows them
            // (`docs/decisions.md` 23).
            cx.factors.make_recovery_in(draft, Liveness::Now, client).map(Some)
        })
        .await?;
    Ok(codes(&made.ok_or_else(ApiError::invalid_totp)?))
}

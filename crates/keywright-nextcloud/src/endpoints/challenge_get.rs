//! `GET account/challenge/get`: the salts, to an authorized session.

use keywright_challenge::SLOTS as CHALLENGE;

use super::{challenge, gate};
use crate::error::ApiError;
use crate::host::Host;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[CHALLENGE], |draft, session| {
            if let Err(error) = gate(parts, draft, session)? {
                return Ok(Err(error));
            }
            let salts = parts.challenges.get_in(draft)?.ok_or(ApiError::NOT_FOUND);
            // What only an authorized session gets is a grant: it is guarded, though nothing changes.
            Ok(salts.map(|salts| draft.tentative(salts)))
        })
        .await?;
    Ok(stepped.answer(|salts| salts.map(|salts| Reply::ok(&challenge(&salts)))))
}

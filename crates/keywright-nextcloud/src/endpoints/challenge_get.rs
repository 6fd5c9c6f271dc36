//! `GET account/challenge/get`: the salts, to an authorized session.

use keywright_store::Slot;

use super::{challenge, gate};
use crate::error::ApiError;
use crate::host::Host;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[Slot::Challenge], |draft, session| {
            if let Err(error) = gate(parts, draft, session)? {
                return Ok(Err(error));
            }
            let salts = parts.challenges.get_in(draft)?.ok_or(ApiError::NOT_FOUND);
            // What only an authorized session gets is a grant: it is guarded, though nothing changes.
            Ok(salts.map(|salts| draft.tentative(salts)))
        })
        .await?;
    stepped.answer(|salts, receipt| {
        Ok(match salts {
            Ok(salts) => Ok(Reply::ok(&challenge(&salts.release(receipt)?))),
            Err(error) => Err(error),
        })
    })
}

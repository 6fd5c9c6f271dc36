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
            Ok(parts.challenges.get_in(draft)?.ok_or(ApiError::NOT_FOUND))
        })
        .await?;
    stepped.answer(|salts, _| Ok(salts.map(|salts| Reply::ok(&challenge(&salts)))))
}

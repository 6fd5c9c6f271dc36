//! `GET session/close`: ends the session and hands out an unauthorized one in the same answer.

use keywright_challenge::SLOTS as CHALLENGE;

use super::{gate, success};
use crate::host::Host;
use crate::service::{Answer, Caller, Failure, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[CHALLENGE], |draft, session| {
            if let Err(error) = gate(parts, draft, session)? {
                return Ok(Err(error));
            }
            session.close(draft)?;
            Ok(Ok(()))
        })
        .await?;
    Ok(stepped.answer(|closed| closed.map(|()| success())))
}

//! `GET session/request`: what must be proven to open the session. `{}` if nothing.

use keywright_store::Slot;
use serde_json::json;

use super::{challenge, locked_out};
use crate::host::Host;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[Slot::Challenge, Slot::Ledger], |draft, session| {
            let Some(salts) = parts.challenges.get_in(draft)? else { return Ok(Ok(None)) };
            if let Some(error) = locked_out(parts, caller, draft)? {
                return Ok(Err(error));
            }
            Ok(Ok((!session.is_authorized()).then_some(salts)))
        })
        .await?;
    stepped.answer(|salts, _| {
        Ok(salts
            .map(|salts| Reply::ok(&salts.map_or_else(|| json!({}), |salts| json!({"challenge": challenge(&salts)})))))
    })
}

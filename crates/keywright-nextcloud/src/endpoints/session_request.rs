//! `GET session/request`: what must be proven to open the session. `{}` if nothing.

use keywright_store::Slot;
use serde_json::json;

use super::{challenge, locked_out, token};
use crate::host::Host;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[Slot::Challenge, Slot::Ledger, Slot::Factors, Slot::Recovery], |draft, session| {
            let Some(salts) = parts.challenges.get_in(draft)? else { return Ok(Ok(None)) };
            if let Some(error) = locked_out(parts, caller, draft)? {
                return Ok(Err(error));
            }
            if session.is_authorized() {
                return Ok(Ok(None));
            }
            let mut body = json!({"challenge": challenge(&salts)});
            if let (Some(tokens), Some(body)) = (token::offered(parts, draft)?, body.as_object_mut()) {
                body.insert("token".into(), tokens);
            }
            Ok(Ok(Some(body)))
        })
        .await?;
    stepped.answer(|body, _| Ok(body.map(|body| Reply::ok(&body.unwrap_or_else(|| json!({}))))))
}

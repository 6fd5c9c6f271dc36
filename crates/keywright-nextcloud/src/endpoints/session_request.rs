//! `GET session/request`: what must be proven to open the session. `{}` if nothing.

use keywright_challenge::SLOTS as CHALLENGE;
use keywright_store::Plain;
use keywright_twofactor::SLOTS as FACTORS;
use serde_json::json;

use super::{challenge, held_up, token};
use crate::host::Host;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[CHALLENGE, FACTORS], |draft, session| {
            let Some(salts) = parts.challenges.get_in(draft)? else { return Ok(Plain(Ok(None))) };
            if let Some(error) = held_up(parts, caller, draft, session)? {
                return Ok(Plain(Err(error)));
            }
            if session.is_authorized() {
                return Ok(Plain(Ok(None)));
            }
            let mut body = json!({"challenge": challenge(&salts)});
            if let (Some(tokens), Some(body)) = (token::offered(parts, draft)?, body.as_object_mut()) {
                body.insert("token".into(), tokens);
            }
            Ok(Plain(Ok(Some(body))))
        })
        .await?;
    Ok(stepped.answer(|body| body.map(|body| Reply::ok(&body.unwrap_or_else(|| json!({}))))))
}

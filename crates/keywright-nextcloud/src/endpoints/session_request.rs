//! `GET session/request`: what must be proven to open the session. `{}` if nothing.

use keywright_core::{Door, Strength};
use keywright_store::Slot;
use keywright_store::guess::{self, Guesser};
use serde_json::json;

use super::challenge;
use crate::error::ApiError;
use crate::host::{Host, Login};
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[Slot::Challenge, Slot::Ledger], |draft, session| {
            let Some(salts) = parts.challenges.get_in(draft)? else { return Ok(Ok(None)) };
            // Only a login by password is told here; an app token learns of its wait when it proves (`decisions.md` 22).
            if caller.login == Login::Password {
                let stranger =
                    Guesser { door: Door::Challenge, strength: Strength::Guessable, tag: None, passes_as: None };
                if let Some(refusal) = guess::refusal(draft, &parts.policy.challenge.ledger, &stranger)? {
                    return Ok(Err(ApiError::LOGIN_NOT_ALLOWED.retry_after(refusal.retry_after())));
                }
            }
            Ok(Ok((!session.is_authorized()).then_some(salts)))
        })
        .await?;
    stepped.answer(|salts, _| {
        Ok(salts
            .map(|salts| Reply::ok(&salts.map_or_else(|| json!({}), |salts| json!({"challenge": challenge(&salts)})))))
    })
}

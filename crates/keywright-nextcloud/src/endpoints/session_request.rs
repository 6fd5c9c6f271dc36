//! `GET session/request`: returns what must be proven to open the session, or `{}` if nothing.

use keywright_challenge::SLOTS as CHALLENGE;
use keywright_store::Plain;
use keywright_twofactor::SLOTS as FACTORS;
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, challenge, ok};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::guard::held_up;
use crate::host::Host;
use crate::token;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, _: &Input<'_>) -> Result<Reply, Failure> {
    let stepped = cx
        .step(caller, &[CHALLENGE, FACTORS], |draft, session| {
            let Some(salts) = cx.challenges.get_in(draft)? else { return Ok(Plain(Ok(None))) };
            if let Some(error) = held_up(cx, caller, draft, session)? {
                return Ok(Plain(Err(error)));
            }
            if session.is_authorized() {
                return Ok(Plain(Ok(None)));
            }
            let mut body = json!({"challenge": challenge(&salts)});
            if let (Some(tokens), Some(body)) = (token::offered(cx, draft)?, body.as_object_mut()) {
                body.insert("token".into(), tokens);
            }
            Ok(Plain(Ok(Some(body))))
        })
        .await?;
    stepped.answer(|body| body.map(|body| ok(&body.unwrap_or_else(|| json!({})))))
}

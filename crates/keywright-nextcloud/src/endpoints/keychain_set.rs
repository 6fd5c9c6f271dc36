//! `POST keychain/set`: stores the client keychain, which is opaque to the server.

use keywright_challenge::SLOTS as CHALLENGE;
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::guard::gate;
use crate::host::Host;
use crate::keychain;
use crate::request::member;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let params = input.params()?;
    let stepped = cx
        .step(caller, &[CHALLENGE, &[keychain::KEYCHAIN.name()]], |draft, session| {
            if let Err(error) = gate(cx, draft, session)? {
                return Ok(Err(error));
            }
            let (Ok(Some(id)), Ok(Some(text))) = (params.text(member::ID), params.text(member::DATA)) else {
                return Ok(Err(ApiError::BAD_REQUEST));
            };
            match (id, session.user_key()) {
                (keychain::SSE, _) => Ok(Err(ApiError::KEYCHAIN_NOT_FOUND)),
                (keychain::CSE, Some(key)) => keychain::write(draft, &caller.account, key, text).map(Ok),
                (keychain::CSE, None) => Ok(Err(ApiError::ENCRYPTION_OFF)),
                _ => Ok(Err(ApiError::BAD_REQUEST)),
            }
        })
        .await?;
    stepped.answer(|set| set.map(|()| ok(&json!({"id": keychain::CSE}))))
}

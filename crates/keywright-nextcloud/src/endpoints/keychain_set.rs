//! `POST keychain/set`: stores the client keychain, opaque to us.

use http::Request;
use keywright_challenge::SLOTS as CHALLENGE;
use serde_json::json;

use super::{gate, refuse};
use crate::error::ApiError;
use crate::host::Host;
use crate::keychain;
use crate::request::body;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host, B: AsRef<[u8]>>(
    parts: &Parts<H>,
    caller: &Caller,
    request: &Request<B>,
) -> Result<Answer, Failure> {
    let params = match body(request, parts.policy.max_body) {
        Ok(params) => params,
        Err(error) => return refuse(parts, caller, error).await,
    };
    let stepped = parts
        .step(caller, &[CHALLENGE, &[keychain::KEYCHAIN.name()]], |draft, session| {
            if let Err(error) = gate(parts, draft, session)? {
                return Ok(Err(error));
            }
            let (Ok(Some(id)), Ok(Some(text))) = (params.text("id"), params.text("data")) else {
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
    Ok(stepped.answer(|set| set.map(|()| Reply::ok(&json!({"id": keychain::CSE})))))
}

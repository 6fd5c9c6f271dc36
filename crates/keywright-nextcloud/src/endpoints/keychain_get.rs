//! `GET keychain/get`: the client keychain by its type, or an empty list.

use keywright_challenge::SLOTS as CHALLENGE;
use serde_json::{Value, json};

use super::gate;
use crate::error::ApiError;
use crate::host::Host;
use crate::keychain;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[CHALLENGE, &[keychain::KEYCHAIN.name()]], |draft, session| {
            if let Err(error) = gate(parts, draft, session)? {
                return Ok(Err(error));
            }
            let text = match session.user_key() {
                Some(key) => keychain::read(draft, &caller.account, key)?,
                None => Ok(None),
            };
            // A grant is guarded, though nothing changes.
            Ok(text.map(|text| draft.tentative(text)).map_err(|keychain::Unreadable| ApiError::KEYCHAIN_FAILED))
        })
        .await?;
    let reply = |text: Option<zeroize::Zeroizing<String>>| {
        Reply::ok(&text.map_or_else(|| Value::Array(Vec::new()), |text| json!({ keychain::CSE: text.as_str() })))
    };
    Ok(keychain::tell_of_damage(parts, &caller.account, stepped.answer(|text| text.map(reply))).await)
}

//! `GET keychain/get`: the client keychain by its type, or an empty list.

use keywright_store::Slot;
use serde_json::{Value, json};

use super::gate;
use crate::error::ApiError;
use crate::host::Host;
use crate::keychain;
use crate::service::{Answer, Caller, Failure, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[Slot::Challenge, Slot::Keychain], |draft, session| {
            if let Err(error) = gate(parts, draft, session)? {
                return Ok(Err(error));
            }
            let Some(key) = session.user_key() else { return Ok(Ok(None)) };
            let text = keychain::read(draft, &caller.account, key)?;
            Ok(text.map_err(|keychain::Unreadable| ApiError::KEYCHAIN_FAILED))
        })
        .await?;
    stepped.answer(|text, _| {
        Ok(text.map(|text| {
            let none = || Value::Array(Vec::new());
            Reply::ok(&text.map_or_else(none, |text| json!({ keychain::CSE: text.as_str() })))
        }))
    })
}

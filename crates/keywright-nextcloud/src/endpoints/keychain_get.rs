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
            let text = match session.user_key() {
                Some(key) => keychain::read(draft, &caller.account, key)?,
                None => Ok(None),
            };
            // A grant is guarded, though nothing changes.
            Ok(text.map(|text| draft.tentative(text)).map_err(|keychain::Unreadable| ApiError::KEYCHAIN_FAILED))
        })
        .await?;
    stepped.answer(|text, receipt| {
        let none = || Value::Array(Vec::new());
        Ok(match text {
            Ok(text) => {
                let text = text.release(receipt)?;
                Ok(Reply::ok(&text.map_or_else(none, |text| json!({ keychain::CSE: text.as_str() }))))
            }
            Err(error) => Err(error),
        })
    })
}

//! `GET keychain/get`: returns the client keychain by its type, or an empty list.

use keywright_challenge::SLOTS as CHALLENGE;
use keywright_wire::Reply;
use serde_json::{Value, json};

use crate::answer::{Failure, ok};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::guard::gate;
use crate::host::Host;
use crate::keychain;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, _: &Input<'_>) -> Result<Reply, Failure> {
    let stepped = cx
        .step(caller, &[CHALLENGE, &[keychain::KEYCHAIN.name()]], |draft, session| {
            if let Err(error) = gate(cx, draft, session)? {
                return Ok(Err(error));
            }
            let text = match session.user_key() {
                Some(key) => keychain::read(draft, &caller.account, key)?,
                None => Ok(None),
            };
            // A grant is guarded, although nothing changes.
            Ok(text.map(|text| draft.tentative(text)).map_err(|keychain::Unreadable| ApiError::KEYCHAIN_FAILED))
        })
        .await?;
    let reply = |text: Option<zeroize::Zeroizing<String>>| {
        ok(&text.map_or_else(|| Value::Array(Vec::new()), |text| json!({ keychain::CSE: text.as_str() })))
    };
    keychain::tell_of_damage(cx, &caller.account, stepped.answer(|text| text.map(reply))).await
}

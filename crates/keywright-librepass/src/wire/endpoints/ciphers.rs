//! The deprecated `GET cipher`, all ciphers as a list, and `PUT cipher`, which inserts or replaces one.

use http::{Method, StatusCode};
use keywright_rekey::id_text;
use keywright_store::{CipherId, Which};
use serde_json::json;

use crate::protocol::cipher::Sent;
use crate::wire::endpoints::cipher_sync::{Change, note_of};
use crate::wire::error::ApiError;
use crate::wire::host::Host;
use crate::wire::request::Input;
use crate::wire::service::{Answered, Caller, Parts, Reply};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, input: &Input<'_>) -> Answered {
    if input.method == Method::PUT { put(parts, caller, input, None).await } else { list(parts, caller).await }
}

async fn list<H: Host>(parts: &Parts<H>, caller: &Caller) -> Answered {
    let read = parts.change(caller, &Change::default(), Which::All, true).await?;
    let owner = caller.login.user.to_string();
    let shown = read.before.ciphers.iter().map(|cipher| Ok(note_of(cipher)?.shown(cipher.id(), &owner, cipher.text())));
    Reply::json(&shown.collect::<Result<Vec<_>, keywright_store::StepError>>()?)
}

/// Inserts or replaces a cipher of the caller's; `named` is the id in the path, which must be the cipher's own.
pub(super) async fn put<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    input: &Input<'_>,
    named: Option<CipherId>,
) -> Answered {
    let sent: Sent<'_> = input.json()?;
    let cipher = sent.check(&caller.login.user, &parts.cipher_limits()?)?;
    let id = cipher.id;
    if named.is_some_and(|named| named != id) {
        return Err(ApiError::CIPHER.into());
    }
    let change = Change::new(vec![cipher], Vec::new())?;
    parts.change(caller, &change, Which::Ids { ids: &[id], with_marks: false }, false).await?;
    Reply::json_with(StatusCode::CREATED, &json!({ "id": id_text(id) }))
}

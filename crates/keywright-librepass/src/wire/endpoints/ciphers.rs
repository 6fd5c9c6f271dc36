//! The deprecated `GET cipher`, which returns all ciphers as a list, and `PUT cipher`, which
//! inserts or replaces one.

use http::{Method, StatusCode};
use keywright_rekey::id_text;
use keywright_store::{CipherId, Which};
use keywright_wire::Reply;
use serde_json::json;

use crate::protocol::cipher::Sent;
use crate::protocol::error::ApiError;
use crate::wire::answer::{Answered, Failure, encode, ok};
use crate::wire::context::{Caller, Context};
use crate::wire::endpoints::cipher_sync;
use crate::wire::endpoints::cipher_sync::{Change, Reading, note_of};
use crate::wire::host::Host;
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    if input.method == Method::PUT { put(cx, caller, input, None).await } else { list(cx, caller, input).await }
}

async fn list<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Answered {
    let reading = if input.is_head { Reading::Part } else { Reading::All };
    let read = cipher_sync::apply(cx, caller, &Change::default(), Which::All, reading).await?;
    let owner = caller.login.user.to_string();
    let shown = read.before.ciphers.iter().map(|cipher| Ok(note_of(cipher)?.shown(cipher.id(), &owner, cipher.text())));
    ok(&shown.collect::<Result<Vec<_>, keywright_store::StepError>>()?)
}

/// Inserts or replaces a cipher of the caller's; `named` is the id in the path, which must be the
/// cipher's own.
pub(crate) async fn put<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    input: &Input<'_>,
    named: Option<CipherId>,
) -> Answered {
    let sent: Sent<'_> = input.json()?;
    let cipher = sent.check(&caller.login.user, &cx.policy.limits)?;
    let id = cipher.id;
    if named.is_some_and(|named| named != id) {
        return Err(ApiError::CIPHER.into());
    }
    let change = Change::new(vec![cipher], Vec::new())?;
    cipher_sync::apply(cx, caller, &change, Which::Ids { ids: &[id], with_marks: false }, Reading::Part).await?;
    encode(StatusCode::CREATED, &json!({ "id": id_text(id) }))
}

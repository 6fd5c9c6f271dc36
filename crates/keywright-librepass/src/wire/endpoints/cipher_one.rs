//! The deprecated `GET`, `DELETE` and `PATCH cipher/{id}`. The last one is `PUT cipher` with the id
//! given twice.

use http::Method;
use keywright_rekey::parse_id;
use keywright_store::Which;
use keywright_wire::Reply;

use crate::protocol::error::ApiError;
use crate::wire::answer::{Failure, empty, ok};
use crate::wire::context::{Caller, Context};
use crate::wire::endpoints::cipher_sync;
use crate::wire::endpoints::cipher_sync::{Change, Reading, note_of};
use crate::wire::endpoints::ciphers;
use crate::wire::host::Host;
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let id = input.id.and_then(parse_id).ok_or(ApiError::ARGUMENT_TYPE)?;
    if input.method == Method::PATCH {
        return ciphers::put(cx, caller, input, Some(id)).await;
    }
    let deletes = input.method == Method::DELETE;
    let change = Change::new(Vec::new(), if deletes { vec![id] } else { Vec::new() })?;
    let which = Which::Ids { ids: &[id], with_marks: false };
    let found = cipher_sync::apply(cx, caller, &change, which, Reading::Part).await?;
    let cipher = found.before.ciphers.first().ok_or(ApiError::CIPHER_NOT_FOUND)?;
    if deletes {
        return Ok(empty());
    }
    let owner = caller.login.user.to_string();
    ok(&note_of(cipher)?.shown(id, &owner, cipher.text()))
}

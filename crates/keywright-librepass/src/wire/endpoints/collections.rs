//! `GET` and `PUT collection`, and `GET` and `DELETE collection/{id}`: the names of collections.

use http::Method;
use keywright_rekey::{id_text, parse_id};
use keywright_store::{CipherId, Draft, Partition, SlotName, StepError};
use keywright_wire::Reply;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::account::collections::{self, COLLECTIONS, Collection, Collections};
use crate::account::tokens::{self, Login};
use crate::protocol::error::ApiError;
use crate::wire::answer::{Answered, Failure, empty, ok};
use crate::wire::context::{Caller, Context};
use crate::wire::host::Host;
use crate::wire::request::Input;

#[derive(Deserialize)]
struct Body {
    id: String,
    name: String,
}

/// A collection in an answer.
#[derive(Serialize)]
struct Shown<'c> {
    id: String,
    owner: &'c str,
    name: &'c str,
}

impl<'c> Shown<'c> {
    fn new(collection: &'c Collection, owner: &'c str) -> Self {
        Self { id: id_text(collection.id()), owner, name: &collection.name }
    }
}

/// Answers for the whole list.
pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    if *input.method == Method::PUT { put(cx, caller, input).await } else { list(cx, caller).await }
}

/// Answers for one collection.
pub(crate) async fn run_one<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let id = input.id.and_then(parse_id).ok_or(ApiError::ARGUMENT_TYPE)?;
    if *input.method == Method::DELETE {
        return remove(cx, caller, id).await;
    }
    let owner = caller.login.user.to_string();
    let all = read(cx, caller).await?;
    let one = all.iter().find(|collection| collection.id() == id).ok_or(ApiError::COLLECTION_NOT_FOUND)?;
    ok(&Shown::new(one, &owner))
}

async fn list<H: Host>(cx: &Context<H>, caller: &Caller) -> Answered {
    let owner = caller.login.user.to_string();
    let all = read(cx, caller).await?;
    ok(&all.iter().map(|collection| Shown::new(collection, &owner)).collect::<Vec<_>>())
}

/// Returns all collections, to a token that is valid in the same read.
async fn read<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Vec<Collection>, Failure> {
    let look = |draft: &mut Draft<'_>| match acts(draft, caller)? {
        Ok(()) => Ok(Ok(Collections::read(draft)?.into_entries())),
        Err(error) => Ok(Err(error)),
    };
    let partition = Partition::account(caller.account());
    Ok(cx.driver.observe(&partition, &slots(caller), look).await??)
}

async fn put<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Answered {
    let body: Body = input.json()?;
    let id = parse_id(&body.id).ok_or(ApiError::COLLECTION)?;
    let collection = Collection::new(id, &body.name).ok_or(ApiError::COLLECTION)?;
    let step = |draft: &mut Draft<'_>| match acts(draft, caller)? {
        Ok(()) if collections::put_in(draft, &collection)? => Ok(Ok(())),
        Ok(()) => Ok(Err(ApiError::COLLECTION)),
        Err(error) => Ok(Err(error)),
    };
    cx.step(caller.account(), &slots(caller), step).await??;
    ok(&json!({ "id": id_text(id) }))
}

async fn remove<H: Host>(cx: &Context<H>, caller: &Caller, id: CipherId) -> Answered {
    let step = |draft: &mut Draft<'_>| match acts(draft, caller)? {
        Ok(()) if collections::remove_in(draft, id)? => Ok(Ok(())),
        Ok(()) => Ok(Err(ApiError::COLLECTION_NOT_FOUND)),
        Err(error) => Ok(Err(error)),
    };
    cx.step(caller.account(), &slots(caller), step).await??;
    Ok(empty())
}

/// Checks the token in the draft that acts.
fn acts(draft: &mut Draft<'_>, caller: &Caller) -> Result<Result<(), ApiError>, StepError> {
    let login = tokens::verify_in(draft, &caller.token)?.filter(Login::may_act);
    Ok(login.map(drop).ok_or(ApiError::INVALID_TOKEN))
}

const fn slots(caller: &Caller) -> [SlotName; 2] {
    [caller.login.slot(), COLLECTIONS.name()]
}

//! `POST users.removeOtherTokens`: ends all other logins. Mobile apps name the caller; nobody else
//! can be named.

use keywright_wire::Reply;

use crate::answer::{Failure, success};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::factors::end_others_now;
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, user_id: Option<&str>) -> Result<Reply, Failure> {
    if user_id.is_some_and(|id| id != caller.user_id) {
        return Err(ApiError::not_allowed().into());
    }
    cx.step_for(caller, &[], |draft| {
        end_others_now(draft, caller)?;
        Ok(draft.tentative(()))
    })
    .await?;
    Ok(success())
}

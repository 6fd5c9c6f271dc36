//! `POST users.logout`: ends all logins of the caller, or, with a permission, of another user.

use keywright_store::due::{self, NewTask};
use keywright_store::{Draft, StepError, Tentative};
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::context::{Caller, Context, END_LOGINS};
use crate::error::ApiError;
use crate::events::LOGINS_ENDED;
use crate::host::{Host, Named, Permission};
use crate::user::User;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, user_id: Option<&str>) -> Result<Reply, Failure> {
    let Some(id) = user_id.filter(|id| *id != caller.user_id) else {
        cx.step_for(caller, &[], end_all).await?;
        return Ok(logged_out(&caller.user));
    };
    // The permission comes first: a caller without it does not learn who exists.
    if !cx.host.permitted(&caller.user.account, Permission::LogoutOtherUser).await? {
        return Err(ApiError::not_allowed().into());
    }
    let user = cx.host.find_user(Named::Id(id)).await?.ok_or_else(ApiError::unknown_target)?;
    // The target's commit does not show whether the caller's login has ended meanwhile.
    cx.step_for(caller, &[], |draft| Ok(draft.tentative(()))).await?;
    cx.step(&user.account, &[], end_all).await?;
    Ok(logged_out(&user))
}

/// Makes it due that all logins end. The credential epoch moves: no login that was looked up before
/// can act.
fn end_all(draft: &mut Draft<'_>) -> Result<Tentative<()>, StepError> {
    draft.move_credential_epoch()?;
    due::add(draft, NewTask::new(END_LOGINS, Vec::new()).reserved())?;
    draft.event(&LOGINS_ENDED);
    Ok(draft.tentative(()))
}

fn logged_out(user: &User) -> Reply {
    let name = user.username.as_deref().unwrap_or_default();
    ok(&json!({"success": true, "message": format!("User {name} has been logged out!")}))
}

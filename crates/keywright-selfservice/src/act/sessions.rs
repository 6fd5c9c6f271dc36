//! Ending the other sessions.

use keywright_core::{Event, EventKind, Severity};
use keywright_store::Draft;

use crate::answer::Failure;
use crate::context::Context;
use crate::host::{Caller, Host};

/// The owner ended all other sessions and tokens of the account.
pub static SESSIONS_ENDED: EventKind =
    EventKind::change("sessions_ended", Severity::Notice, "the owner ended all other sessions and tokens");

/// Ends all sessions, tokens and pending confirmations except for the caller's session.
pub(crate) async fn end_others<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<(), Failure> {
    let step = |draft: &mut Draft<'_>| {
        draft.move_credential_epoch()?;
        draft.event(Event::new(&SESSIONS_ENDED));
        Ok(draft.root()?.epochs().credential)
    };
    let epoch = cx.driver.transact(&(&caller.account).into(), &[], step).await?;
    cx.keep_session(caller, Some(epoch)).await
}

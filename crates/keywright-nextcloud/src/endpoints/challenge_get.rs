//! `GET account/challenge/get`: returns the salts to an authorized session.

use keywright_challenge::SLOTS as CHALLENGE;
use keywright_wire::Reply;

use crate::answer::{Failure, challenge, ok};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::guard::gate;
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, _: &Input<'_>) -> Result<Reply, Failure> {
    let stepped = cx
        .step(caller, &[CHALLENGE], |draft, session| {
            if let Err(error) = gate(cx, draft, session)? {
                return Ok(Err(error));
            }
            let salts = cx.challenges.get_in(draft)?.ok_or(ApiError::NOT_FOUND);
            // Anything that only an authorized session receives is a grant, so it is guarded
            // although nothing changes.
            Ok(salts.map(|salts| draft.tentative(salts)))
        })
        .await?;
    stepped.answer(|salts| salts.map(|salts| ok(&challenge(&salts))))
}

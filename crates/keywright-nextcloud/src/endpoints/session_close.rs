//! `GET session/close`: ends the session and issues an unauthorized one in the same answer.

use keywright_challenge::SLOTS as CHALLENGE;
use keywright_wire::Reply;

use crate::answer::{Failure, success};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::guard::gate;
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, _: &Input<'_>) -> Result<Reply, Failure> {
    let stepped = cx
        .step(caller, &[CHALLENGE], |draft, session| {
            if let Err(error) = gate(cx, draft, session)? {
                return Ok(Err(error));
            }
            session.close(draft)?;
            Ok(Ok(()))
        })
        .await?;
    stepped.answer(|closed| closed.map(|()| success()))
}

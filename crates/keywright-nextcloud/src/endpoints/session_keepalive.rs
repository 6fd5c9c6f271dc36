//! `GET session/keepalive`: refreshes the session. It never changes a live id; a dead one is
//! answered with a fresh one.

use keywright_wire::Reply;

use crate::answer::{Failure, success};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, _: &Input<'_>) -> Result<Reply, Failure> {
    cx.step(caller, &[], |_, _| Ok(())).await?.answer(|()| Ok(success()))
}

//! `GET /actuator/info`: returns what apps check before they accept a server's address.

use keywright_wire::Reply;
use serde_json::json;

use crate::wire::answer::{Failure, ok};
use crate::wire::context::Context;
use crate::wire::host::Host;
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(_: &Context<H>, _: &Input<'_>) -> Result<Reply, Failure> {
    // Apps look for the group (protocol § 6).
    let build = json!({"group": "dev.medzik.librepass", "artifact": "server", "name": "keywright"});
    ok(&json!({"build": build}))
}

//! `GET info`: the version, which apps and monitors request first.

use keywright_wire::Reply;
use serde_json::json;

use crate::answer::ok;
use crate::context::Context;

pub(crate) fn run<H>(cx: &Context<H>) -> Reply {
    ok(&json!({"success": true, "version": cx.policy.version}))
}

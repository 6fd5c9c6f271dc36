//! `GET token/{provider}/request`: has a provider of second factors send its code. The providers
//! that this crate offers have nothing to send (protocol § 6).

use http::StatusCode;
use keywright_store::Plain;
use keywright_twofactor::SLOTS as FACTORS;
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::host::Host;
use crate::token;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let provider = input.segment.unwrap_or_default();
    let stepped = cx.step(caller, &[FACTORS], |draft, _| token::is_offered(cx, draft, provider).map(Plain)).await?;
    stepped.answer(|is_offered| {
        Ok(if is_offered {
            ok(&json!({"success": true, "data": {}}))
        } else {
            Reply::json(StatusCode::BAD_REQUEST, json!({"success": false, "data": null}).to_string())
        })
    })
}

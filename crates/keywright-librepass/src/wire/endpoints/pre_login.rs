//! `GET auth/preLogin?email=E`: returns the cost of the key derivation, and the server's public
//! key.

use keywright_wire::Reply;
use serde_json::json;

use crate::account::credential::Credential;
use crate::protocol::parameters::ArgonParameters;
use crate::wire::answer::{Failure, ok};
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let parameters = match input.email()? {
        None => ArgonParameters::default(),
        Some(address) => {
            cx.admit(input, Subject::Address(address.as_str()))?;
            let found = cx.look(&address, |draft, name| {
                Ok(Credential::read_named(draft, name)?.map(|credential| credential.parameters))
            });
            found.await?.flatten().unwrap_or_else(|| cx.decoy_parameters(&address))
        }
    };
    ok(&json!({
        "parallelism": parameters.parallelism(),
        "memory": parameters.memory(),
        "iterations": parameters.iterations(),
        "serverPublicKey": cx.keys.current().await?.public_key().to_hex().expose(),
    }))
}

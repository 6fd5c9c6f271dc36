//! `GET auth/preLogin?email=E`: the cost of the key derivation, and the server's public key.

use serde_json::json;

use crate::account::credential::Credential;
use crate::protocol::parameters::ArgonParameters;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;
use crate::wire::service::{Answered, Parts, Reply};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let parameters = match input.email()? {
        None => ArgonParameters::default(),
        Some(address) => {
            parts.admit(input, Subject::Address(address.as_str()))?;
            let found = parts.look(&address, |draft, name| {
                Ok(Credential::read_named(draft, name)?.map(|credential| credential.parameters))
            });
            found.await?.flatten().unwrap_or_else(|| parts.decoy_parameters(&address))
        }
    };
    Reply::json(&json!({
        "parallelism": parameters.parallelism(),
        "memory": parameters.memory(),
        "iterations": parameters.iterations(),
        "serverPublicKey": parts.keys.current().await?.public_key().to_hex().expose(),
    }))
}

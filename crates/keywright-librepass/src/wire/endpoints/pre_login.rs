//! `GET auth/preLogin?email=E`: returns the cost of the key derivation, and the server's public
//! key.

use keywright_store::{Draft, Partition};
use keywright_wire::Reply;
use serde_json::json;

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::tokens::{self, TOKEN};
use crate::protocol::parameters::ArgonParameters;
use crate::wire::answer::{Failure, ok};
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::request::{self, Input};

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let parameters = match input.email()? {
        None => ArgonParameters::default(),
        Some(address) => {
            cx.admit(input, Subject::Address(address.as_str()))?;
            let own = own_parameters(cx, input).await?;
            let found = cx.look(&address, |draft, name| {
                Ok(Credential::read_named(draft, name)?.map(|credential| credential.parameters))
            });
            let found = found.await?.flatten();
            match own {
                // For a login every address has the same answer, so that it does not show which
                // addresses have an account.
                Some(own) if cx.is_uniform() => own,
                own => found.or(own).unwrap_or_else(|| cx.decoy_parameters(&address)),
            }
        }
    };
    ok(&json!({
        "parallelism": parameters.parallelism(),
        "memory": parameters.memory(),
        "iterations": parameters.iterations(),
        "serverPublicKey": cx.keys.current().await?.public_key().to_hex().expose(),
    }))
}

/// Returns the parameters of the account whose token comes with the request, if it is valid. A
/// client that is about to change its address asks for those of the new one, and derives the new
/// key with the answer (protocol § 13); the change keeps the account's own.
async fn own_parameters<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Option<ArgonParameters>, Failure> {
    let Some(token) = request::token(input.headers) else { return Ok(None) };
    let slots = [TOKEN.at(token.slot()).name(), CREDENTIAL.name()];
    let look = |draft: &mut Draft<'_>| {
        let may_act = tokens::verify_in(draft, &token)?.is_some_and(|login| login.may_act());
        let credential = if may_act { Credential::read(draft)? } else { None };
        Ok(credential.map(|credential| credential.parameters))
    };
    Ok(cx.driver.observe(&Partition::account(token.user().account()), &slots, look).await?)
}

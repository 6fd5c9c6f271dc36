//! `GET` and `POST auth/admitClient?user=UUID&code=HEX&from=NETWORK`: the link of a mail to an
//! owner whom other clients have locked out by guessing.
//!
//! GET shows a page, whatever the code. Its buttons post: one admits the network that the click
//! comes from, the other the network whose refusal caused the mail. The code has 128 bits; a wrong
//! one changes nothing and is not counted.

use http::Method;
use keywright_wire::Network;
use keywright_wire::Reply;

use crate::protocol::error::ApiError;
use crate::wire::admission;
use crate::wire::answer::Failure;
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;

/// The form's field, and its value for the network that was refused.
const FIELD: &str = "admit";
const REFUSED: &str = "refused";

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let user = input.user()?;
    let code = input.parameter("code")?;
    let refused = Network::parse(&input.parameter("from")?).ok_or(ApiError::ARGUMENT_TYPE)?;
    let mut ticket = [0; 16];
    hex::decode_to_slice(code, &mut ticket).map_err(|_| ApiError::ARGUMENT_TYPE)?;
    if input.method == Method::GET {
        return Ok(Reply::page(question(refused)));
    }
    cx.admit(input, Subject::Named(user.account()))?;
    let here = cx.network(input).filter(|_| input.field(FIELD).as_deref() != Some(REFUSED));
    admission::admit_by_link(cx, &user, ticket, here.unwrap_or(refused)).await?;
    Ok(Reply::page(ANSWER))
}

/// Returns the page with the buttons. A network's printed form has no character that has a meaning
/// in HTML.
fn question(refused: Network) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Let a new place log in</title></head><body>\
         <form method=\"post\"><p>Log-ins to your account are refused because of wrong guesses. Where do you want to log in \
         from? The next ten tries from there within an hour will be looked at.</p>\
         <button type=\"submit\" name=\"{FIELD}\" value=\"here\">From here</button> \
         <button type=\"submit\" name=\"{FIELD}\" value=\"{REFUSED}\">From {refused}, which was refused</button></form>\
         </body></html>"
    )
}

const ANSWER: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>You can log in now</title></head>\
    <body><p>You can log in now, within an hour.</p></body></html>";

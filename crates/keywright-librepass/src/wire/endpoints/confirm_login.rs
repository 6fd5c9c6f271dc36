//! `GET` and `POST auth/confirmLogin`: the page for applications that cannot ask for a second
//! factor (`docs/decisions.md` 57).
//!
//! Such an application logs in and holds a token that may do nothing yet. The owner opens this page
//! on the same network and types address and code; then the token is as good as after
//! `grantType=2fa`. A code is looked at only where a log-in from this very network waits for it, so
//! nobody guesses at codes without the password, and a log-in from elsewhere is never confirmed by
//! its victim. Where several wait, the owner chooses.

use http::{Method, StatusCode};
use keywright_core::AccountId;
use keywright_store::names::NAMES;
use keywright_store::{Draft, Partition, SlotName};
use keywright_wire::{Network, Reply};

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::tokens::{self, TOKEN, TOKENS, WaitingLogin};
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::user::UserId;
use crate::wire::answer::{Answered, Failure};
use crate::wire::context::Context;
use crate::wire::endpoints::oauth::{self, Judged};
use crate::wire::host::{Host, Subject};
use crate::wire::pages;
use crate::wire::request::Input;

/// The fields of the form.
const EMAIL: &str = "email";
const CODE: &str = "code";
const LOGIN: &str = "login";

const TITLE: &str = "Confirm your log-in";

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    if *input.method == Method::GET {
        let text = "<p>For applications that do not ask for the code of your second factor: log in there first, then \
                    enter the code here, on the same network.</p>";
        return Ok(pages::page(TITLE, &format!("{text}{}", form(None, &[]))));
    }
    let email = input.field(EMAIL).or_else(|| input.parameter(EMAIL).ok()).ok_or(ApiError::VALIDATION)?;
    let address = Address::parse(email.trim()).ok_or(ApiError::VALIDATION)?;
    cx.admit(input, Subject::Address(address.as_str()))?;
    let Some(network) = cx.network(input) else { return Ok(nothing_waits()) };
    let (name, found) = cx.find(&address).await?;
    let Some(account) = found else {
        // The read that an account would have cost.
        let partition = cx.decoy_partition(&address);
        cx.driver.observe(&partition, &[CREDENTIAL.name(), NAMES.name(), TOKENS.name()], |_| Ok(())).await?;
        return Ok(nothing_waits());
    };
    let look = |draft: &mut Draft<'_>| match Credential::read_named(draft, &name)? {
        Some(_) => tokens::waiting_in(draft, network.tag(draft)),
        None => Ok(Vec::new()),
    };
    let slots = [CREDENTIAL.name(), NAMES.name(), TOKENS.name()];
    let waiting = cx.driver.observe(&Partition::account(&account), &slots, look).await?;
    let chosen = input.field(LOGIN);
    let is_chosen = |login: &&WaitingLogin| chosen.as_deref() == Some(&*hex::encode(login.slot));
    let login = match (&*waiting, waiting.iter().find(is_chosen)) {
        ([], _) => return Ok(nothing_waits()),
        (_, Some(login)) | ([login], None) => login,
        (several, None) => {
            let text = "<p>Several log-ins wait for a code. Which one is yours?</p>";
            return Ok(pages::page(TITLE, &format!("{text}{}", form(Some(&address), several))));
        }
    };
    let code = input.field(CODE).unwrap_or_default();
    confirm(cx, &account, &address, login.slot, &code, network).await
}

/// Proves the second factor of a waiting login, as `grantType=2fa` does.
async fn confirm<H: Host>(
    cx: &Context<H>,
    account: &AccountId,
    address: &Address,
    slot: [u8; 16],
    code: &str,
    network: Network,
) -> Answered {
    let Ok(user) = UserId::of_account(account) else { return Ok(nothing_waits()) };
    let step = |draft: &mut Draft<'_>| match tokens::waiting_login_in(draft, &user, slot, network.tag(draft))? {
        Some(login) => oauth::judge_code_in(cx, draft, login, code, Some(network)),
        None => Ok(Judged::Refused(ApiError::INVALID_TOKEN)),
    };
    let own = [TOKEN.at(slot).name(), TOKENS.name()];
    let slots: Vec<SlotName> = own.into_iter().chain(keywright_twofactor::SLOTS.iter().copied()).collect();
    match cx.step(account, &slots, step).await? {
        Judged::Confirmed(()) | Judged::Already => {
            Ok(pages::page("Your log-in is confirmed", "<p>You can close this page and go on in your app.</p>"))
        }
        // It was confirmed or ended meanwhile.
        Judged::Refused(ApiError::INVALID_TOKEN) => Ok(nothing_waits()),
        Judged::Refused(ApiError::TWO_FACTOR) => {
            let text = format!("<p>The code is wrong, or was used before.</p>{}", form(Some(address), &[]));
            Ok(pages::page(TITLE, &text).with_status(StatusCode::BAD_REQUEST))
        }
        Judged::Refused(error) => Ok(pages::refused(&error)),
    }
}

/// Returns the one answer where there is nothing to confirm, whether or not the address has an
/// account.
fn nothing_waits() -> Reply {
    let text = "<p>No log-in from your network waits for a code. Log in with your app first, then come back within a \
                quarter of an hour, on the same network.</p>";
    pages::page(TITLE, &format!("{text}{}", form(None, &[]))).with_status(StatusCode::NOT_FOUND)
}

/// Returns the form, with a choice if there is more than one log-in, the newest first. An address
/// goes into the query, percent-encoded, where it has no character with a meaning in HTML; so has
/// none of what is said about a log-in.
fn form(address: Option<&Address>, several: &[WaitingLogin]) -> String {
    let (action, email) = match address {
        Some(address) => {
            let encoded: String = form_urlencoded::byte_serialize(address.as_str().as_bytes()).collect();
            (format!(" action=\"?{EMAIL}={encoded}\""), String::new())
        }
        None => {
            let field =
                format!("<p><label>E-mail address <input type=\"email\" name=\"{EMAIL}\" required></label></p>");
            (String::new(), field)
        }
    };
    let choice = |(n, login): (usize, &WaitingLogin)| {
        let (id, ago) = (hex::encode(login.slot), login.seconds_ago);
        let (name, checked) = (login.client.as_deref().unwrap_or("an app"), if n == 0 { " checked" } else { "" });
        format!(
            "<p><label><input type=\"radio\" name=\"{LOGIN}\" value=\"{id}\"{checked}> {name}, {ago} seconds ago</label></p>"
        )
    };
    let choices: String = several.iter().enumerate().map(choice).collect();
    format!(
        "<form method=\"post\"{action}>{email}{choices}<p><label>Code <input name=\"{CODE}\" autocomplete=\"one-time-code\" \
         required></label></p><button type=\"submit\">Confirm</button></form>"
    )
}

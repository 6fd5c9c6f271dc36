//! Enrolling and replacing an authenticator.

use http::{Method, StatusCode};
use keywright_core::UnixSeconds;
use keywright_twofactor::{DeviceId, KeyUri, Parameters, TotpSecret, qr};
use keywright_wire::{HostError, Reply};

use super::overview::done;
use super::proof::{Why, asking, reply};
use crate::act::factors::{self, Begun, Enrolled};
use crate::answer::Failure;
use crate::context::{Call, Context};
use crate::host::Host;
use crate::html::codes;
use crate::html::enrol::{Shown, Start, scan, start};
use crate::html::messages::problem;
use crate::request::{Endpoint, query};
use crate::texts::Text;

/// The form, or what begins the enrolment.
pub(crate) async fn run<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let is_post = call.head.method == Method::POST;
    let replaces = if is_post { call.form.get("replaces").to_owned() } else { query(call.head, "replaces") };
    let id = match replaces.as_str() {
        "" => None,
        text => Some(DeviceId::parse(text).map_err(|_| Failure::NotFound)?),
    };
    if !is_post {
        return form(cx, call, call.view.say(Text::EnrolDefaultName), id, Why::Opened, None).await;
    }
    let (name, view) = (call.form.get("name").trim(), call.view);
    if let Some(mail) = Why::of_mail(cx, call).await? {
        return form(cx, call, name, id, mail, None).await;
    }
    let say = |text| Some(view.say(text));
    match factors::begin(cx, call.caller, name, id, call.form.get("proof")).await? {
        Begun::Pending(pending) => {
            let expires = Some(pending.expires());
            show(cx, call, name, pending.base32().expose(), pending.parameters(), expires, None)
        }
        Begun::Refused(refused) => form(cx, call, name, id, Why::Refused(refused), None).await,
        Begun::TooMany => form(cx, call, name, id, Why::Opened, say(Text::EnrolTooMany)).await,
        Begun::Unknown => Err(Failure::NotFound),
        Begun::BadName => form(cx, call, name, id, Why::Opened, say(Text::EnrolBadName)).await,
    }
}

async fn form<H: Host>(
    cx: &Context<H>,
    call: &Call<'_>,
    name: &str,
    id: Option<DeviceId>,
    why: Why,
    error: Option<&str>,
) -> Result<Reply, Failure> {
    let enrolled = cx.two_factor.enrolled(&call.caller.account).await?;
    let old = match id {
        Some(id) => Some(enrolled.devices.iter().find(|device| device.id == id).ok_or(Failure::NotFound)?),
        None => None,
    };
    let old = old.map(|device| (device.id.to_string(), device.name.as_str()));
    let replaces = old.as_ref().map(|(id, name)| (id.as_str(), *name));
    let asking = asking(cx, call, &why).await?;
    let page = start(call.view, &Start { name, replaces, asking: &asking, error });
    let page = if error.is_some() { page.failed(call.view, StatusCode::UNPROCESSABLE_ENTITY) } else { page };
    Ok(reply(cx, call, &asking, page))
}

/// Shows the key. It is in a hidden field of the form too, so that the page can be shown again
/// after a wrong code (`docs/decisions.md` 221).
fn show<H: Host>(
    cx: &Context<H>,
    call: &Call<'_>,
    name: &str,
    key: &str,
    parameters: &Parameters,
    expires: Option<UnixSeconds>,
    error: Option<&str>,
) -> Result<Reply, Failure> {
    let secret = TotpSecret::from_base32(key).map_err(|_| Failure::BadBody)?;
    let uri = KeyUri::new(Some(&cx.policy.service), &call.caller.name, secret, *parameters)
        .map_err(HostError::new)?
        .to_text();
    let picture = qr::svg(uri.expose()).ok();
    let shown = Shown { name, uri: &uri, picture: picture.as_ref(), key, parameters, expires, error };
    Ok(call.view.reply(&*cx.host, scan(call.view, &shown)))
}

/// Checks the first code.
pub(crate) async fn confirm<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let (view, form, parameters) = (call.view, call.form, cx.policy.two_factor.parameters());
    let (name, key) = (form.get("name"), form.get("key"));
    let expires = form.get("expires").parse().ok().filter(|at| *at > 0).and_then(|at| UnixSeconds::new(at).ok());
    let again = |message: &str| show(cx, call, name, key, parameters, expires, Some(message));
    match factors::confirm(cx, call.caller, form.get("code")).await? {
        Enrolled::Active(Some(made)) => Ok(view.reply(&*cx.host, codes::keep(view, &made, Some(name)))),
        Enrolled::Active(None) => Ok(done(call, "added")),
        Enrolled::Wrong => again(view.say(Text::EnrolWrong)),
        Enrolled::ClockOff(offset) => {
            let text = if offset.seconds() < 0 { Text::EnrolClockBehind } else { Text::EnrolClockAhead };
            again(&view.fill(text, &[&offset.seconds().unsigned_abs().to_string()]))
        }
        Enrolled::Malformed => again(&view.fill(Text::CodeMalformed, &[&parameters.digits().to_string()])),
        Enrolled::Gone => {
            let onward = Some((view.path(Endpoint::Enrol), Text::StartOver));
            let (title, lead) = (view.say(Text::EnrolGone), view.say(Text::EnrolGoneLead));
            Ok(view.reply(&*cx.host, problem(view, StatusCode::CONFLICT, title, lead, onward)))
        }
        Enrolled::TooMany => {
            let (title, lead) = (view.say(Text::EnrolGone), view.say(Text::EnrolTooMany));
            Ok(view.reply(&*cx.host, problem(view, StatusCode::CONFLICT, title, lead, None)))
        }
    }
}

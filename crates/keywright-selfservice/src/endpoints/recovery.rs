//! Recovery codes: making, keeping and saving them.

use http::{Method, StatusCode};
use keywright_twofactor::recovery::MAX_CODES;
use keywright_wire::Reply;

use super::overview::done;
use super::proof::{Why, asking, reply};
use crate::act::factors;
use crate::answer::{self, Failure};
use crate::context::{Call, Context};
use crate::host::Host;
use crate::html::codes;
use crate::html::messages::problem;
use crate::request::Endpoint;
use crate::texts::Text;

/// The question, or the new codes.
pub(crate) async fn run<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let view = call.view;
    if !factors::takes_recovery_codes(&cx.two_factor.enrolled(&call.caller.account).await?) {
        let (title, lead) = (view.say(Text::RecoveryMake), view.say(Text::RecoveryNeedsApp));
        let onward = Some((view.path(Endpoint::Enrol), Text::SetUp));
        return Ok(view.reply(&*cx.host, problem(view, StatusCode::CONFLICT, title, lead, onward)));
    }
    let why = if call.head.method != Method::POST {
        Why::Opened
    } else if let Some(mail) = Why::of_mail(cx, call).await? {
        mail
    } else {
        match factors::make_codes(cx, call.caller, call.form.get("proof")).await? {
            Ok(made) => return Ok(view.reply(&*cx.host, codes::keep(view, &made, None))),
            Err(refused) => Why::Refused(refused),
        }
    };
    let asking = asking(cx, call, &why).await?;
    let page = codes::make(view, &asking);
    Ok(reply(cx, call, &asking, page))
}

/// The owner's word that the codes were kept.
pub(crate) async fn keep<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let view = call.view;
    if factors::keep_codes(cx, call.caller).await? {
        return Ok(done(call, "codes"));
    }
    let onward = Some((view.path(Endpoint::Recovery), Text::RecoveryMake));
    let (title, lead) = (view.say(Text::RecoveryGone), view.say(Text::RecoveryGoneLead));
    Ok(view.reply(&*cx.host, problem(view, StatusCode::CONFLICT, title, lead, onward)))
}

/// Returns the codes of the form as a file. They are not looked at beyond their shape: whoever has
/// the form has them.
pub(crate) fn file<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let codes: Vec<&str> = call.form.get("codes").lines().collect();
    let is_code = |code: &&str| {
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if codes.is_empty() || codes.len() > MAX_CODES || !codes.iter().all(is_code) {
        return Err(Failure::BadBody);
    }
    let whose = format!("{} ({})", cx.policy.service, call.caller.name);
    let title = call.view.fill(Text::RecoveryFile, &[&whose]);
    Ok(answer::file(format!("{title}\n\n{}\n", codes.join("\n")), "recovery-codes.txt"))
}

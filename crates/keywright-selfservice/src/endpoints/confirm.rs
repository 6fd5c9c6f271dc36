//! Confirming an action of the host.

use http::{Method, StatusCode};
use keywright_wire::Reply;

use super::overview::done;
use super::proof::status;
use crate::act::confirm::{self, Attempted, Step};
use crate::act::proof::{Need, Refused};
use crate::answer::Failure;
use crate::context::{Call, Context};
use crate::host::Host;
use crate::html::actions;
use crate::html::parts::refusal;
use crate::texts::Text;

/// The question, or the beginning of the confirmation.
pub(crate) async fn run<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let view = call.view;
    let action = confirm::find(cx, call.caller, call.segment, view.texts.language()).await?;
    let page = if call.head.method == Method::POST {
        match confirm::begin(cx, call.caller, &action).await? {
            Step::Type(code) => actions::typed(view, &action, &code, None),
            Step::Wait(wait) => actions::wait(view, &action, actions::seconds(&wait), None),
        }
    } else {
        actions::question(view, &action)
    };
    Ok(view.reply(&*cx.host, page))
}

/// Confirms the action and performs it.
pub(crate) async fn grant<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let view = call.view;
    let action = confirm::find(cx, call.caller, call.segment, view.texts.language()).await?;
    let page = match confirm::attempt(cx, call.caller, &action, call.form.get("typed")).await? {
        Attempted::Granted(proof) => {
            cx.host.perform(proof).await?;
            return Ok(done(call, "action"));
        }
        Attempted::Denied => match confirm::begin(cx, call.caller, &action).await? {
            Step::Type(code) => actions::typed(view, &action, &code, Some(view.say(Text::ConfirmDenied))),
            Step::Wait(wait) => actions::wait(view, &action, actions::seconds(&wait), None),
        },
        Attempted::Waits(wait) => {
            actions::wait(view, &action, actions::seconds(&wait), Some(view.say(Text::ConfirmAgain)))
        }
        Attempted::Refused(refused) => {
            let message = refusal(view, Need::Password, refused);
            let page = actions::wait(view, &action, 0, Some(&message)).failed(view, status(Some(refused)));
            return Ok(view.reply(&*cx.host, page.retry_after(Refused::retry_after(refused))));
        }
    };
    Ok(view.reply(&*cx.host, page.failed(view, StatusCode::UNPROCESSABLE_ENTITY)))
}

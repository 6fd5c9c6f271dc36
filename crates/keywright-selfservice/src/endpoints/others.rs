//! Sessions, remembered browsers, the pending address, and signing out.

use http::header::SET_COOKIE;
use http::{Method, StatusCode};
use keywright_wire::Reply;

use super::overview::done;
use crate::act::sessions;
use crate::answer::{self, Failure};
use crate::context::{Call, Context};
use crate::host::Host;
use crate::html::messages;

/// The question, or the end of all other sessions.
pub(crate) async fn end_sessions<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    if call.head.method != Method::POST {
        return Ok(call.view.reply(&*cx.host, messages::end_sessions(call.view)));
    }
    sessions::end_others(cx, call.caller).await?;
    Ok(done(call, "sessions"))
}

/// Cancels the pending change of address.
pub(crate) async fn cancel_address<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    if !cx.host.cancel_address(call.caller).await? {
        return Err(Failure::NotFound);
    }
    Ok(done(call, "address"))
}

/// Renames or forgets a remembered browser.
pub(crate) async fn browser<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let browsers = cx.host.browsers(call.caller).await?;
    let browser = browsers.iter().find(|browser| browser.id == call.segment).ok_or(Failure::NotFound)?;
    let page = if call.head.method != Method::POST {
        messages::rename_browser(call.view, browser, false)
    } else if call.form.get("forget") == "1" {
        cx.host.forget_browser(call.caller, Some(&browser.id)).await?;
        return Ok(done(call, "browser"));
    } else if cx.host.rename_browser(call.caller, &browser.id, call.form.get("name").trim()).await? {
        return Ok(done(call, "renamed"));
    } else {
        messages::rename_browser(call.view, browser, true).failed(call.view, StatusCode::UNPROCESSABLE_ENTITY)
    };
    Ok(call.view.reply(&*cx.host, page))
}

/// Forgets every remembered browser.
pub(crate) async fn forget_browsers<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    cx.host.forget_browser(call.caller, None).await?;
    Ok(done(call, "browser"))
}

/// Ends the session.
pub(crate) async fn sign_out<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let cookie = cx.host.sign_out(call.caller).await?;
    let reply = answer::see(cx.policy.login_path);
    Ok(match cookie {
        Some(cookie) => reply.with(SET_COOKIE, cookie),
        None => reply,
    })
}

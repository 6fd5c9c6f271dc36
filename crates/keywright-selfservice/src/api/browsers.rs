//! The browsers that the account remembers.

use keywright_wire::Reply;
use serde_json::{Value, json};

use super::reply::{bad_name, ok};
use crate::answer::Failure;
use crate::context::{Call, Context};
use crate::host::{Host, RememberedBrowser};

pub(super) async fn list<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let browsers = cx.host.browsers(call.caller).await?;
    let browser = |browser: &RememberedBrowser| {
        json!({
            "id": browser.id, "name": browser.name, "last_used": browser.last_used.get(),
            "expires": browser.expires.get(),
        })
    };
    Ok(ok(&json!({ "browsers": browsers.iter().map(browser).collect::<Vec<Value>>() })))
}

pub(super) async fn rename<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let id = find(cx, call).await?;
    let renamed = cx.host.rename_browser(call.caller, &id, call.form.get("name").trim()).await?;
    Ok(if renamed { ok(&json!({})) } else { bad_name(call) })
}

pub(super) async fn forget<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let id = find(cx, call).await?;
    cx.host.forget_browser(call.caller, Some(&id)).await?;
    Ok(ok(&json!({})))
}

pub(super) async fn forget_all<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    cx.host.forget_browser(call.caller, None).await?;
    Ok(ok(&json!({})))
}

/// Returns the id of the path, if it is that of one of the caller's browsers.
async fn find<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<String, Failure> {
    let browsers = cx.host.browsers(call.caller).await?;
    browsers.into_iter().map(|browser| browser.id).find(|id| id == call.segment).ok_or(Failure::NotFound)
}

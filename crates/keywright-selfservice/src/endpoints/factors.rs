//! Removing and renaming an authenticator or another factor.

use http::{Method, StatusCode};
use keywright_twofactor::DeviceId;
use keywright_wire::Reply;

use super::overview::done;
use super::proof::{Why, asking, reply};
use crate::act::factors::{self, Removed, Renamed};
use crate::answer::Failure;
use crate::context::{Call, Context};
use crate::host::Host;
use crate::html::factors::{Rename, remove as remove_page, rename as rename_page};

/// The question, or the removal.
pub(crate) async fn remove<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let id = DeviceId::parse(call.segment).map_err(|_| Failure::NotFound)?;
    let why = if call.head.method != Method::POST {
        Why::Opened
    } else if let Some(mail) = Why::of_mail(cx, call).await? {
        mail
    } else {
        match factors::remove(cx, call.caller, id, call.form.get("proof")).await? {
            Removed::Done => return Ok(done(call, "removed")),
            Removed::Unknown => return Err(Failure::NotFound),
            Removed::Refused(refused) => Why::Refused(refused),
        }
    };
    let enrolled = cx.two_factor.enrolled(&call.caller.account).await?;
    let name = factors::name_of(&enrolled, id).ok_or(Failure::NotFound)?;
    let asking = asking(cx, call, &why).await?;
    let page = remove_page(call.view, call.segment, name, &enrolled, &asking);
    Ok(reply(cx, call, &asking, page))
}

/// The form, or the new name.
pub(crate) async fn rename<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let id = DeviceId::parse(call.segment).map_err(|_| Failure::NotFound)?;
    let is_post = call.head.method == Method::POST;
    let mut is_bad_name = false;
    let why = if !is_post {
        Why::Opened
    } else if let Some(mail) = Why::of_mail(cx, call).await? {
        mail
    } else {
        let (name, proof) = (call.form.get("name").trim(), call.form.get("proof"));
        match factors::rename(cx, call.caller, id, name, proof).await? {
            Renamed::Done => return Ok(done(call, "name")),
            Renamed::Unknown => return Err(Failure::NotFound),
            Renamed::Refused(refused) => Why::Refused(refused),
            Renamed::BadName => {
                is_bad_name = true;
                Why::Opened
            }
        }
    };
    let enrolled = cx.two_factor.enrolled(&call.caller.account).await?;
    let old = factors::name_of(&enrolled, id).ok_or(Failure::NotFound)?;
    let name = if is_post { call.form.get("name") } else { old };
    let asking = asking(cx, call, &why).await?;
    let page = rename_page(call.view, &Rename { id: call.segment, old, name, is_bad_name, asking: &asking });
    let page = if is_bad_name { page.failed(call.view, StatusCode::UNPROCESSABLE_ENTITY) } else { page };
    Ok(reply(cx, call, &asking, page))
}

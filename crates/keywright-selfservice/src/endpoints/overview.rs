//! The overview and the page of all activity.

use keywright_wire::Reply;

use crate::act::activity::recent;
use crate::answer::{self, Failure};
use crate::context::{Call, Context};
use crate::host::Host;
use crate::html::overview::{self, Overview};
use crate::policy::ACTIVITY_SHORT;
use crate::request::{Endpoint, query};
use crate::texts::Text;

/// The results that the overview reports after a redirection, by their name in the query.
const DONE: &[(&str, Text)] = &[
    ("added", Text::DoneAdded),
    ("removed", Text::DoneRemoved),
    ("codes", Text::DoneCodes),
    ("sessions", Text::DoneSessions),
    ("address", Text::DoneAddress),
    ("action", Text::DoneAction),
    ("browser", Text::DoneBrowser),
    ("renamed", Text::DoneRenamed),
    ("name", Text::DoneName),
];

/// Redirects to the overview, which reports a result.
pub(crate) fn done(call: &Call<'_>, done: &str) -> Reply {
    answer::see(&format!("{}?done={done}", call.view.path(Endpoint::Overview)))
}

pub(crate) async fn run<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let caller = call.caller;
    let name = query(call.head, "done");
    let shown = Overview {
        enrolled: cx.two_factor.enrolled(&caller.account).await?,
        browsers: cx.host.browsers(caller).await?,
        address: cx.host.pending_address(caller).await?,
        actions: cx.host.actions(caller, call.view.texts.language()).await?,
        activity: recent(cx, caller, ACTIVITY_SHORT).await?,
        done: DONE.iter().find(|(known, _)| *known == name).map(|(_, text)| *text),
    };
    Ok(call.view.reply(&*cx.host, overview::overview(call.view, &shown)))
}

pub(crate) async fn activity<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let entries = recent(cx, call.caller, cx.policy.activity).await?;
    let enrolled = cx.two_factor.enrolled(&call.caller.account).await?;
    Ok(call.view.reply(&*cx.host, overview::all_activity(call.view, &entries, &enrolled)))
}

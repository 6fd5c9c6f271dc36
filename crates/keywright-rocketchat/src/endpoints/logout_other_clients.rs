//! `POST users.logoutOtherClients`: ends all other logins, behind a second factor.

use keywright_core::UnixSeconds;
use keywright_wire::Reply;
use serde_json::json;

use crate::act::Act;
use crate::answer::{Failure, ok};
use crate::context::{Caller, Context};
use crate::factors::end_others_now;
use crate::guard::Guard;
use crate::host::{Endpoint, Host};
use crate::iso;
use crate::method::Demand;
use crate::params::Target;
use crate::request::SentCode;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, sent: &SentCode) -> Result<Reply, Failure> {
    let act = Act::new(Endpoint::LogoutOtherClients, Target::Own);
    let guard = Guard { cx, caller, sent, act, demand: Demand::Offered };
    guard
        .run(|draft, proof| {
            end_others_now(draft, caller)?;
            Ok(proof.map(drop))
        })
        .await?;
    // The caller keeps its token, so that no answer that is lost costs the login. A token without an
    // expiry has the last moment there is, because the published type requires one.
    let expires = iso::milliseconds(caller.expires.unwrap_or(UnixSeconds::MAX));
    Ok(ok(&json!({"success": true, "token": caller.presented.expose(), "tokenExpires": expires})))
}

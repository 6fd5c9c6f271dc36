//! `POST users.enableTotp`: begins an enrolment. What is active stays active; only `validate`
//! changes that.

use keywright_core::SessionId;
use keywright_store::{Draft, StepError, Tentative};
use keywright_twofactor::{EnrolmentStart, KeyUri, PendingDevice, SLOTS};
use keywright_wire::Reply;
use serde_json::json;

use crate::act::Act;
use crate::answer::{Failure, ok};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::guard::Guard;
use crate::host::{Endpoint, Host};
use crate::method::Demand;
use crate::params::Target;
use crate::request::SentCode;

/// The device's name in the account's list, because the protocol has none.
const DEVICE: &str = "Rocket.Chat";

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, sent: &SentCode) -> Result<Reply, Failure> {
    // This check and the next come before the second factor, so that no code is spent for them.
    let name = caller.user.username.as_deref().unwrap_or_default();
    if KeyUri::check_label(Some(&cx.policy.issuer), name).is_err() {
        tracing::error!("a username makes no label of an otpauth URI");
        return Err(ApiError::not_allowed().into());
    }
    if has_totp(cx, caller).await? {
        return Err(ApiError::already_enabled().into());
    }
    let session = cx.session(caller);
    let act = Act::new(Endpoint::TotpEnable, Target::Own);
    let guard = Guard { cx, caller, sent, act, demand: Demand::ToAdd };
    let begun = guard.run(|draft, _| begin(cx, draft, session)).await?;
    let Some(device) = begun else { return Err(ApiError::already_enabled().into()) };
    let uri = device.uri(&cx.policy.issuer, name).map_err(|_| ApiError::not_allowed())?;
    Ok(ok(&json!({"success": true, "secret": device.base32().expose(), "url": uri.expose()})))
}

async fn has_totp<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<bool, Failure> {
    let look = |draft: &mut Draft<'_>| cx.factors.enrolled_in(draft).map(|enrolled| enrolled.has_totp());
    let partition = keywright_store::Partition::account(&caller.user.account);
    Ok(cx.driver.observe(&partition, SLOTS, look).await?)
}

fn begin<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    session: SessionId,
) -> Result<Option<Tentative<PendingDevice>>, StepError> {
    if cx.factors.enrolled_in(draft)?.has_totp() {
        return Ok(None);
    }
    Ok(match cx.factors.begin_enrolment_in(draft, session, DEVICE, None)? {
        EnrolmentStart::Begun(device) => Some(device),
        _ => None,
    })
}

//! `POST users.totp.enable`: begins an enrolment. What is active stays active; only `validate` changes that.

use keywright_store::{Draft, StepError, Tentative};
use keywright_twofactor::{Beginning, KeyUri, PendingDevice, SLOTS};
use serde_json::json;

use crate::caller::Caller;
use crate::error::ApiError;
use crate::factors::Demand;
use crate::guard::{Act, Guard};
use crate::host::{Endpoint, Host};
use crate::policy::TOTP_DIGITS;
use crate::request::{SentCode, Target};
use crate::service::{Answered, Failure, Parts, Reply};

/// The device's name in the account's list: the wire has none.
const DEVICE: &str = "Rocket.Chat";

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, sent: &SentCode) -> Answered {
    if parts.policy.two_factor.parameters().digits() != TOTP_DIGITS {
        tracing::error!("the policy's devices do not show codes of this wire");
        return Ok(Err(ApiError::not_allowed()));
    }
    // Said first, as what comes next: nobody's code is spent for it.
    let name = caller.user.username.as_deref().unwrap_or_default();
    if KeyUri::check_label(Some(&parts.policy.issuer), name).is_err() {
        tracing::error!("the policy's issuer, or a username, makes no label of an otpauth URI");
        return Ok(Err(ApiError::not_allowed()));
    }
    if has_totp(parts, caller).await? {
        return Ok(Err(ApiError::already_enabled()));
    }
    let session = parts.session(caller);
    let act = Act::new(Endpoint::TotpEnable, Target::Own);
    let guard = Guard { parts, caller, sent, act, demand: Demand::ToAdd };
    let begun = match guard.run(|draft, _| begin(parts, draft, &session)).await? {
        Ok(begun) => begun,
        Err(error) => return Ok(Err(error)),
    };
    let Some(device) = begun else { return Ok(Err(ApiError::already_enabled())) };
    let uri = device.uri(&parts.policy.issuer, name).map_err(|_| StepError::Misuse("no label for an otpauth URI"))?;
    Ok(Ok(Reply::ok(&json!({"success": true, "secret": device.base32().expose(), "url": uri.expose()}))))
}

async fn has_totp<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<bool, Failure> {
    let look = |draft: &mut Draft<'_>| parts.factors.enrolled_in(draft).map(|enrolled| enrolled.has_totp());
    let partition = keywright_store::Partition::account(&caller.user.account);
    Ok(parts.driver.observe(&partition, SLOTS, look).await?)
}

fn begin<H: Host>(
    parts: &Parts<H>,
    draft: &mut Draft<'_>,
    session: &[u8],
) -> Result<Option<Tentative<PendingDevice>>, StepError> {
    if parts.factors.enrolled_in(draft)?.has_totp() {
        return Ok(None);
    }
    Ok(match parts.factors.begin_enrolment_in(draft, session, DEVICE, None)? {
        Beginning::Begun(device) => Some(device),
        _ => None,
    })
}

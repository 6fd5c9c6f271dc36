//! `POST user/setup/2fa`: sets up a second factor, or replaces the current one.
//!
//! The client draws the secret and sends it with its first code, so there is nothing to guess here:
//! the code is not charged. A client with a token and the password may set up the first factor. If
//! there is one already, the token's login must have proven it within the last quarter of an hour
//! (`docs/decisions.md` 34). Otherwise the answer is 401, and logging in again proves it.

use keywright_core::UnixSeconds;
use keywright_store::guess::LEDGER;
use keywright_store::{Draft, SlotName, StepError, Tentative};
use keywright_twofactor::recovery::{Liveness, RecoveryCodes};
use keywright_twofactor::{EnrolOutcome, Enrolled, ImportedDevice, Method, Parameters, TotpSecret};
use keywright_wire::Reply;
use serde::{Deserialize, Serialize};

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::guard::{KeyCheck, Proof, Sender};
use crate::account::mails::{self, Kind};
use crate::account::tokens::{self, Login, TOKENS};
use crate::protocol::error::ApiError;
use crate::protocol::keys::SharedKey;
use crate::wire::answer::{Failure, ok};
use crate::wire::context::{Caller, Context};
use crate::wire::host::Host;
use crate::wire::request::Input;

/// How old the proof of a second factor that is about to be replaced may be, in seconds: a quarter
/// of an hour (`docs/security.md` § 8).
const FRESH_SECONDS: u64 = 15 * 60;
/// The name of the one device in the records, because the protocol has no name for it.
const DEVICE: &str = "app";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    shared_key: String,
    secret: String,
    code: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    recovery_code: &'a str,
}

/// The input of a set-up.
struct SetUp<'b> {
    sent: SharedKey,
    device: Option<ImportedDevice>,
    code: &'b str,
}

/// The end of a set-up, in its commit.
type Ended = Result<Tentative<RecoveryCodes>, ApiError>;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let body: Body = input.json()?;
    let sent = SharedKey::from_hex(&body.shared_key).map_err(|_| ApiError::SHARED_KEY)?;
    // A malformed secret is reported in its turn, after the shared key.
    let secret = TotpSecret::from_base32(&body.secret).ok().filter(|secret| cx.factors.policy().takes(secret));
    let device = secret.map(|secret| ImportedDevice::new(DEVICE, secret).with_parameters(Parameters::DEFAULT));
    let set_up = SetUp { sent, device, code: &body.code };
    let network = cx.network(input);
    let own = [caller.login.slot(), TOKENS.name(), CREDENTIAL.name(), LEDGER.name()];
    let slots: Vec<SlotName> = own.iter().chain(keywright_twofactor::SLOTS).copied().collect();
    let step = |draft: &mut Draft<'_>, check: &KeyCheck<'_>| {
        let Some(login) = tokens::verify_in(draft, &caller.token)?.filter(Login::may_act) else {
            return Ok(Err(ApiError::INVALID_TOKEN));
        };
        let sender = Sender { client: login.client(draft, network), network };
        enrol(cx, draft, check, login, &set_up, &sender)
    };
    let codes = cx.with_shared_key(caller.account(), &slots, step).await??;
    // The preset has one code.
    let recovery_code = codes.iter().next().ok_or(ApiError::FAILED)?;
    ok(&Answer { recovery_code })
}

fn enrol<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    check: &KeyCheck<'_>,
    mut login: Login,
    set_up: &SetUp<'_>,
    sender: &Sender,
) -> Result<Ended, StepError> {
    if !is_fresh(&login, &cx.factors.enrolled_in(draft)?, draft.now()) {
        return Ok(Err(ApiError::INVALID_TOKEN));
    }
    let Some(credential) = Credential::read(draft)? else { return Ok(Err(ApiError::INVALID_TOKEN)) };
    match check.judge_in(draft, &credential, &set_up.sent, sender)? {
        Proof::Right => {}
        Proof::Wrong => return Ok(Err(ApiError::SHARED_KEY)),
        Proof::Refused { retry_after } => return Ok(Err(ApiError::too_many(retry_after))),
    }
    let Some(device) = &set_up.device else { return Ok(Err(ApiError::TWO_FACTOR)) };
    let changer = login.changer(draft, sender.network);
    // The code is spent for every purpose, and earlier guesses at the device are forgotten with it.
    match cx.factors.enrol_in(draft, device, set_up.code, changer)? {
        EnrolOutcome::Active(_) => {}
        EnrolOutcome::ClockOff(offset) => return Ok(Err(ApiError::clock_off(offset.seconds()))),
        EnrolOutcome::Wrong | EnrolOutcome::Spent | EnrolOutcome::Malformed | EnrolOutcome::NotTaken(_) => {
            return Ok(Err(ApiError::TWO_FACTOR));
        }
    }
    let codes = cx.factors.make_recovery_in(draft, Liveness::Now, changer)?;
    // A client that enrols has just proven the new factor. Where the policy ends the other logins,
    // this is the only one left.
    tokens::confirm_in(draft, &mut login, Method::Totp)?;
    mails::notice_in(draft, &credential.address()?, Kind::SecondFactorSet)?;
    Ok(Ok(codes))
}
/// Whether a token may set up a second factor. If there is a device already, it must be this very
/// device that the token has proven: a proof of an earlier device no longer counts. Beside a passkey
/// it must be a recovery code: a device is weaker, and changes no factors there.
fn is_fresh(login: &Login, enrolled: &Enrolled, now: UnixSeconds) -> bool {
    if !enrolled.attested.is_empty() && !login.is_proven_by_recovery() {
        return false;
    }
    let attested = enrolled.attested.iter().map(|factor| factor.added);
    let Some(added) = enrolled.devices.iter().map(|device| device.added).chain(attested).max() else { return true };
    let since = if added <= now { now.since(added).saturating_add(1).min(FRESH_SECONDS) } else { FRESH_SECONDS };
    login.proven_within(now, since)
}

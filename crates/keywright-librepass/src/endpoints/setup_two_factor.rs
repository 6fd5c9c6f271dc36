//! `POST user/setup/2fa`: a second factor, or another in the place of the one there is.
//!
//! The client draws the secret and sends it with its first code, so there is nothing to guess here: the code is not
//! charged. Whoever holds a token and the password may set up the first one. Where there is one, the token's login must
//! have proven it within the last quarter of an hour (`decisions.md` 34): else 401, and logging in again proves it.

use keywright_core::UnixSeconds;
use keywright_store::due::DueTask;
use keywright_store::{Draft, Slot, StepError, Tentative};
use keywright_twofactor::recovery::{Liveness, RecoveryCodes};
use keywright_twofactor::{Enrolled, Enrolling, Parameters, TotpSecret};
use serde::{Deserialize, Serialize};

use crate::SharedKey;
use crate::account::Credential;
use crate::error::ApiError;
use crate::guard::{Proof, SharedDoor};
use crate::host::Host;
use crate::mails::{self, Kind};
use crate::request::Input;
use crate::service::{Answered, Caller, Parts, Reply};
use crate::tokens::{self, Login};

/// How old the proof of a second factor may be that is about to be replaced: a quarter of an hour (`security.md` § 8).
const FRESH_SECONDS: u64 = 15 * 60;
/// What the one device is called in the records; the wire has no name for it.
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

/// How a set-up ended, in its commit.
enum Ended {
    Set(Tentative<RecoveryCodes>, DueTask),
    Refused(ApiError),
}

pub(crate) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, input: &Input<'_>) -> Answered {
    let body: Body = input.json()?;
    let sent = SharedKey::from_hex(&body.shared_key).map_err(|_| ApiError::SHARED_KEY)?;
    // Complained of in its turn: after the shared key.
    let secret = TotpSecret::from_base32(&body.secret).ok().filter(|secret| parts.factors.policy().takes(secret));
    let slots = [
        Slot::Token(caller.token.slot()),
        Slot::Tokens,
        Slot::Credential,
        Slot::Ledger,
        Slot::Factors,
        Slot::Recovery,
        Slot::Due,
    ];
    let step = |draft: &mut Draft<'_>, door: &SharedDoor<'_>| {
        parts.set_up(draft, door, caller, &sent, secret.as_ref(), &body.code)
    };
    match parts.with_shared_key(caller.account(), &slots, step).await? {
        (Ended::Refused(error), _) => Err(error.into()),
        (Ended::Set(codes, task), receipt) => {
            let codes = codes.release(&receipt)?;
            parts.send(caller.account(), &[task]).await;
            let recovery_code = codes.iter().next().ok_or(StepError::Misuse("a set of no recovery codes"))?;
            Reply::json(&Answer { recovery_code })
        }
    }
}

impl<H: Host> Parts<H> {
    fn set_up(
        &self,
        draft: &mut Draft<'_>,
        door: &SharedDoor<'_>,
        caller: &Caller,
        sent: &SharedKey,
        secret: Option<&TotpSecret>,
        code: &str,
    ) -> Result<Ended, StepError> {
        let refused = |error| Ok(Ended::Refused(error));
        let Some(mut login) = tokens::verify_in(draft, &caller.token)?.filter(Login::may_act) else {
            return refused(ApiError::INVALID_TOKEN);
        };
        if !is_fresh(&login, &self.factors.enrolled_in(draft)?, draft.now()) {
            return refused(ApiError::INVALID_TOKEN);
        }
        let Some(credential) = Credential::read(draft)? else { return refused(ApiError::INVALID_TOKEN) };
        let tag = Some(self.token_tag(login.id()));
        match door.judge_in(draft, &credential.public_key, sent, tag, tag)? {
            Proof::Right => {}
            Proof::Wrong => return refused(ApiError::SHARED_KEY),
            Proof::Refused { retry_after } => return refused(ApiError::too_many(retry_after)),
        }
        let Some(secret) = secret else { return refused(ApiError::TWO_FACTOR) };
        // Spent for every purpose, and what was guessed at the device before is forgotten with it.
        let enrolled = self.factors.enrol_in(draft, DEVICE, secret.duplicate(), Parameters::DEFAULT, code)?;
        if !matches!(enrolled, Enrolling::Active(_)) {
            return refused(ApiError::TWO_FACTOR);
        }
        let codes = self.factors.make_recovery_in(draft, Liveness::Now)?;
        // Whoever enrols has just proven the new one.
        tokens::confirm_in(draft, &mut login)?;
        let task = mails::add_in(draft, &credential.address()?, Kind::SecondFactorSet)?;
        Ok(Ended::Set(codes, task))
    }
}

/// Whether a token may set up a second factor. One that is there must have been proven with this very device: a proof of
/// the one before it counts no more.
fn is_fresh(login: &Login, enrolled: &Enrolled, now: UnixSeconds) -> bool {
    let Some(added) = enrolled.devices.iter().map(|device| device.added).max() else { return true };
    let since = if added <= now { now.since(added).saturating_add(1).min(FRESH_SECONDS) } else { FRESH_SECONDS };
    login.proven_within(now, since)
}

//! `POST account/challenge/set`: the first challenge, or a new one with the old secret.

use http::Request;
use keywright_challenge::{ChallengeSecret, Proof, Salts, Setting, Verification};
use keywright_core::Refusal;
use keywright_store::{Draft, Partition, Slot, StepError, Tentative};

use super::{denied, gate, locked_out, refuse, success};
use crate::error::ApiError;
use crate::host::{Host, Unproven};
use crate::keychain;
use crate::request::{Params, body};
use crate::service::{Answer, Caller, Failure, Parts};
use crate::session::{Presented, Session};

/// The request's members, their types checked, their shapes not yet.
struct Sent {
    /// The old secret; absent counts as none, other than 64 bytes as malformed.
    old: Option<Result<Proof, ApiError>>,
    new: Result<(ChallengeSecret, Salts), ApiError>,
}

pub(super) async fn run<H: Host, B: AsRef<[u8]>>(
    parts: &Parts<H>,
    caller: &Caller,
    request: &Request<B>,
) -> Result<Answer, Failure> {
    let params = match body(request, parts.policy.max_body) {
        Ok(params) => params,
        Err(error) => return refuse(parts, caller, error).await,
    };
    // The gate is judged on arrival, the secret in the commit: of two requests that were both let in, the loser is told
    // that its old secret is wrong, and charged (`decisions.md` 5), not that its session ended meanwhile.
    let had_challenge = match arrive(parts, caller).await? {
        Ok(had_challenge) => had_challenge,
        Err(error) => return refuse(parts, caller, error).await,
    };
    if !parts.policy.client_side_encryption {
        return refuse(parts, caller, ApiError::FEATURE_OFF).await;
    }
    let sent = match read(&params) {
        Ok(sent) => sent,
        Err(error) => return refuse(parts, caller, error).await,
    };
    if !had_challenge && !parts.host.permit(&caller.account, &caller.login, Unproven::SetChallenge).await? {
        return refuse(parts, caller, ApiError::LOGIN_NOT_ALLOWED).await;
    }
    let slots = [Slot::Challenge, Slot::Ledger, Slot::Keychain];
    let stepped = parts
        .step(caller, &slots, |draft, session| {
            if had_challenge && !parts.challenges.exists_in(draft)? {
                // The account was reset meanwhile: what was let in was a change, not a first challenge of a blank account.
                return Ok(Err(ApiError::SESSION_REQUIRED));
            }
            set(parts, caller, draft, session, &sent)
        })
        .await?;
    stepped.answer(|set, receipt| {
        Ok(match set {
            Ok(set) => {
                let () = set.release(receipt)?;
                Ok(success())
            }
            Err(error) => Err(error),
        })
    })
}

/// The gate, by a look without a turn. Gives whether the account has a challenge.
async fn arrive<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Result<bool, ApiError>, Failure> {
    let partition = Partition::account(&caller.account);
    let slots: Vec<Slot> =
        [Slot::Challenge, Slot::Sessions].into_iter().chain(caller.presented.as_ref().map(Presented::slot)).collect();
    let look = |draft: &mut Draft<'_>| {
        let session = Session::look(draft, &caller.account, &caller.login, caller.presented.as_ref())?;
        gate(parts, draft, &session)
    };
    Ok(parts.driver.observe(&partition, &slots, look).await?)
}

fn read(params: &Params) -> Result<Sent, ApiError> {
    let secret = params.text("secret").ok().flatten().ok_or(ApiError::SECRET_INVALID)?;
    let data = params.texts("data").ok().flatten().ok_or(ApiError::SALT_INVALID)?;
    let old = params.text("oldSecret").map_err(|_| ApiError::SECRET_INVALID)?;
    let new = ChallengeSecret::from_client(secret)
        .map_err(|_| ApiError::SECRET_INVALID)
        .and_then(|secret| Ok((secret, Salts::parse(&data).map_err(|_| ApiError::SALT_INVALID)?)));
    let old = old.map(|old| Proof::from_client(old).map_err(|_| ApiError::SECRET_INVALID));
    Ok(Sent { old, new })
}

fn set<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &mut Session,
    sent: &Sent,
) -> Result<Result<Tentative<()>, ApiError>, StepError> {
    if !parts.challenges.exists_in(draft)? {
        let (secret, salts) = match &sent.new {
            Ok(new) => new,
            Err(error) => return Ok(Err(*error)),
        };
        return match parts.challenges.set_in(draft, secret, salts)? {
            Setting::Set(key) => {
                let user_key = key.peek(draft)?.duplicate();
                session.save(draft, true, Some(&user_key))?;
                Ok(Ok(key.map(drop)))
            }
            _ => Err(StepError::Misuse("a challenge that does not exist was not set")),
        };
    }
    if let Some(error) = locked_out(parts, caller, draft)? {
        return Ok(Err(error));
    }
    let old = match &sent.old {
        Some(Ok(old)) => old,
        Some(Err(error)) => return Ok(Err(*error)),
        None => return Ok(Err(ApiError::PASSPHRASE_INVALID)),
    };
    let prover = parts.prover(draft, caller)?;
    let (secret, salts) = match &sent.new {
        Ok(new) => new,
        Err(error) => {
            // The old secret is judged first (dossier § 4.3), and what the answer tells of it is committed.
            return match parts.challenges.verify_in(draft, old, &prover)? {
                Verification::Granted(_) => Ok(Err(*error)),
                other => refused(parts, caller, draft, other).map(Err),
            };
        }
    };
    match parts.challenges.replace_in(draft, old, secret, salts, &prover)? {
        Verification::Granted(keys) => {
            let (old, new) = {
                let keys = keys.peek(draft)?;
                (keys.old.duplicate(), keys.new.duplicate())
            };
            keychain::carry_over(draft, &caller.account, &old, &new)?;
            session.save(draft, true, Some(&new))?;
            Ok(Ok(keys.map(drop)))
        }
        other => refused(parts, caller, draft, other).map(Err),
    }
}

fn refused<H: Host, K>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    verification: Verification<K>,
) -> Result<ApiError, StepError> {
    match verification {
        Verification::Denied(charge) => denied(draft, caller, &parts.policy.challenge.ledger, &charge),
        Verification::Refused(refusal) => Ok(ApiError::LOGIN_NOT_ALLOWED.retry_after(Refusal::retry_after(&refusal))),
        _ => Err(StepError::Misuse("a challenge that exists was not judged")),
    }
}

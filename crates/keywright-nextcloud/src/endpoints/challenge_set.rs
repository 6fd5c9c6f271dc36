//! `POST account/challenge/set`: the first challenge, or a new one with the old secret.

use http::Request;
use keywright_challenge::{ChallengeSecret, Proof, SLOTS as CHALLENGE, Salts, SetOutcome, Verification};
use keywright_core::Client;
use keywright_store::{Draft, Partition, SlotName, StepError, Tentative};

use super::{PROOF, denied, gate, held_up, proof_refused, proven, refuse, success};
use crate::client::changed_by;
use crate::error::ApiError;
use crate::host::{Host, Unproven};
use crate::keychain;
use crate::request::{Params, body};
use crate::service::{Answer, Caller, Failure, Parts};
use crate::session::{Presented, SESSIONS, Saving, Session};

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
    let slots = [CHALLENGE, PROOF, &[keychain::KEYCHAIN.name()]];
    let stepped = parts
        .step(caller, &slots, |draft, session| {
            if had_challenge && !parts.challenges.exists_in(draft)? {
                // The account was reset meanwhile: what was let in was a change, not a first challenge of a blank account.
                return Ok(Err(ApiError::SESSION_REQUIRED));
            }
            set(parts, caller, draft, session, &sent)
        })
        .await?;
    Ok(stepped.answer(|set| set.map(|()| success())))
}

/// The gate, by a look that waits for nobody. Returns whether the account has a challenge.
async fn arrive<H: Host>(parts: &Parts<H>, caller: &Caller) -> Result<Result<bool, ApiError>, Failure> {
    let partition = Partition::account(&caller.account);
    let slots: Vec<SlotName> = CHALLENGE
        .iter()
        .copied()
        .chain([SESSIONS.name()])
        .chain(caller.presented.as_ref().map(Presented::slot))
        .collect();
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
    let client = caller.prover(draft, session);
    if !parts.challenges.exists_in(draft)? {
        return set_first(parts, caller, draft, session, sent, client);
    }
    if let Some(error) = held_up(parts, caller, draft, session)? {
        return Ok(Err(error));
    }
    let old = match &sent.old {
        Some(Ok(old)) => old,
        Some(Err(error)) => return Ok(Err(*error)),
        None => return Ok(Err(ApiError::PASSPHRASE_INVALID)),
    };
    let (secret, salts) = match &sent.new {
        Ok(new) => new,
        Err(error) => {
            // The old secret is judged first (dossier § 4.3), and what the answer shows of it is committed.
            return match parts.challenges.verify_in(draft, old, client)? {
                Verification::Granted(key) => {
                    proven(draft, caller)?;
                    drop(key);
                    Ok(Err(*error))
                }
                other => not_proven(parts, caller, draft, session, other).map(Err),
            };
        }
    };
    let known = changed_by(&caller.login, &client);
    match parts.challenges.replace_in(draft, old, secret, salts, client, &known)? {
        Verification::Granted(keys) => {
            let (old, new) = {
                let keys = keys.peek(draft)?;
                (keys.old.duplicate(), keys.new.duplicate())
            };
            keychain::carry_over(draft, &caller.account, &old, &new)?;
            proven(draft, caller)?;
            save(draft, session, Saving::Proven { user_key: &new, by: &client })?;
            Ok(Ok(keys.map(drop)))
        }
        other => not_proven(parts, caller, draft, session, other).map(Err),
    }
}

fn set_first<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &mut Session,
    sent: &Sent,
    client: Client,
) -> Result<Result<Tentative<()>, ApiError>, StepError> {
    let (secret, salts) = match &sent.new {
        Ok(new) => new,
        Err(error) => return Ok(Err(*error)),
    };
    match parts.challenges.set_in(draft, secret, salts, &changed_by(&caller.login, &client))? {
        SetOutcome::Set(key) => {
            let user_key = key.peek(draft)?.duplicate();
            save(draft, session, Saving::Proven { user_key: &user_key, by: &client })?;
            Ok(Ok(key.map(drop)))
        }
        SetOutcome::Exists => Err(StepError::Misuse("a challenge that does not exist was not set")),
    }
}

fn save(draft: &mut Draft<'_>, session: &mut Session, saving: Saving<'_>) -> Result<(), StepError> {
    session.save(draft, saving)?.map_err(|_| StepError::Misuse("a proven session always finds room"))
}

fn not_proven<H: Host, K>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &Session,
    verification: Verification<K>,
) -> Result<ApiError, StepError> {
    match verification {
        Verification::Denied(charge) => denied(draft, caller, &charge, ApiError::PASSPHRASE_INVALID),
        Verification::Refused(refusal) => proof_refused(parts, caller, draft, session, &refusal),
        Verification::Granted(_) | Verification::NoChallenge => {
            Err(StepError::Misuse("a challenge that exists was not judged"))
        }
    }
}

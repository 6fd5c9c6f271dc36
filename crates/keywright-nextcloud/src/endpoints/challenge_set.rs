//! `POST account/challenge/set`: sets the first challenge, or a new one with the old secret.

use keywright_challenge::{ChallengeSecret, Proof, SLOTS as CHALLENGE, Salts, SetOutcome};
use keywright_core::Client;
use keywright_store::{Draft, Partition, SlotName, StepError, Tentative};
use keywright_wire::Reply;

use crate::answer::{Failure, success};
use crate::body::{Input, Params};
use crate::client::changed_by;
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::guard::{PROOF, gate, granted, held_up, proven};
use crate::host::{Host, Unproven};
use crate::keychain;
use crate::request::member;
use crate::session::list::SESSIONS;
use crate::session::{Presented, Session};

/// The request's members. Their types are checked, their shapes not yet.
struct Sent {
    /// The old secret. If absent it is `None`; if it is not 64 bytes long it is malformed.
    old: Option<Result<Proof, ApiError>>,
    new: Result<(ChallengeSecret, Salts), ApiError>,
}

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let params = input.params()?;
    // The gate is checked on arrival, the secret in the commit. Of two requests that were both
    // admitted, the loser learns that its old secret is wrong, and is charged (`docs/decisions.md`
    // 5); it does not learn that its session ended meanwhile.
    let had_challenge = match arrive(cx, caller).await? {
        Ok(had_challenge) => had_challenge,
        Err(error) => return Err(error.into()),
    };
    if !cx.policy.client_side_encryption {
        return Err(ApiError::FEATURE_OFF.into());
    }
    let sent = match read(&params) {
        Ok(sent) => sent,
        Err(error) => return Err(error.into()),
    };
    if !had_challenge && !cx.host.permit(&caller.account, &caller.login, Unproven::SetChallenge).await? {
        return Err(ApiError::LOGIN_NOT_ALLOWED.into());
    }
    let slots = [CHALLENGE, PROOF, &[keychain::KEYCHAIN.name()]];
    let stepped = cx
        .step(caller, &slots, |draft, session| {
            if had_challenge && !cx.challenges.exists_in(draft)? {
                // The account was reset meanwhile: what was admitted was a change, not a first
                // challenge of a blank account.
                return Ok(Err(ApiError::SESSION_REQUIRED));
            }
            set(cx, caller, draft, session, &sent)
        })
        .await?;
    stepped.answer(|set| set.map(|()| success()))
}

/// Checks the gate by a read that waits for no other request. Returns whether the account has a
/// challenge.
async fn arrive<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Result<bool, ApiError>, Failure> {
    let partition = Partition::account(&caller.account);
    let slots: Vec<SlotName> = CHALLENGE
        .iter()
        .copied()
        .chain([SESSIONS.name()])
        .chain(caller.presented.as_ref().map(Presented::slot))
        .collect();
    let look = |draft: &mut Draft<'_>| {
        let session = Session::look(draft, &caller.account, &caller.login, caller.presented.as_ref())?;
        gate(cx, draft, &session)
    };
    Ok(cx.driver.observe(&partition, &slots, look).await?)
}

fn read(params: &Params) -> Result<Sent, ApiError> {
    let secret = params.text(member::SECRET).ok().flatten().ok_or(ApiError::SECRET_INVALID)?;
    let data = params.texts(member::DATA).ok().flatten().ok_or(ApiError::SALT_INVALID)?;
    let old = params.text(member::OLD_SECRET).map_err(|_| ApiError::SECRET_INVALID)?;
    let new = ChallengeSecret::from_client(secret)
        .map_err(|_| ApiError::SECRET_INVALID)
        .and_then(|secret| Ok((secret, Salts::parse(&data).map_err(|_| ApiError::SALT_INVALID)?)));
    let old = old.map(|old| Proof::from_client(old).map_err(|_| ApiError::SECRET_INVALID));
    Ok(Sent { old, new })
}

fn set<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &mut Session,
    sent: &Sent,
) -> Result<Result<Tentative<()>, ApiError>, StepError> {
    let client = caller.prover(draft, session);
    if !cx.challenges.exists_in(draft)? {
        return set_first(cx, caller, draft, session, sent, client);
    }
    if let Some(error) = held_up(cx, caller, draft, session)? {
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
            // The old secret is checked first (protocol § 4.3), and what the answer shows of it is
            // committed.
            let verification = cx.challenges.verify_in(draft, old, client)?;
            return match granted(cx, caller, draft, session, verification)? {
                Ok(_) => {
                    proven(draft, caller)?;
                    Ok(Err(*error))
                }
                Err(denied) => Ok(Err(denied)),
            };
        }
    };
    let known = changed_by(&caller.login, &client);
    let verification = cx.challenges.replace_in(draft, old, secret, salts, client, &known)?;
    let keys = match granted(cx, caller, draft, session, verification)? {
        Ok(keys) => keys,
        Err(error) => return Ok(Err(error)),
    };
    let (old, new) = {
        let keys = keys.peek(draft)?;
        (keys.old.duplicate(), keys.new.duplicate())
    };
    keychain::carry_over(draft, &caller.account, &old, &new)?;
    proven(draft, caller)?;
    session.save_proven(draft, &new, &client)?;
    Ok(Ok(keys.map(drop)))
}

fn set_first<H: Host>(
    cx: &Context<H>,
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
    match cx.challenges.set_in(draft, secret, salts, &changed_by(&caller.login, &client))? {
        SetOutcome::Set(key) => {
            let user_key = key.peek(draft)?.duplicate();
            session.save_proven(draft, &user_key, &client)?;
            Ok(Ok(key.map(drop)))
        }
        // The caller saw in the same draft that there is none. Nothing was set.
        SetOutcome::Exists => Ok(Err(ApiError::UPDATE_FAILED)),
    }
}

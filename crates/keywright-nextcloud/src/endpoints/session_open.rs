//! `POST session/open`: judges token and challenge, and opens the session under a new id.

use http::Request;
use keywright_challenge::{Caller as Prover, Proof, UserKey, Verification};
use keywright_core::{AccountId, Charge, Door, EventKind, Strength};
use keywright_store::guess::{self, Guesser};
use keywright_store::{Draft, Slot, StepError, Tentative};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::token::{self, Tokens};
use super::{denied, locked_out, refuse};
use crate::error::ApiError;
use crate::host::Host;
use crate::keychain;
use crate::request::body;
use crate::service::{Answer, Caller, Failure, Parts, Reply};
use crate::session::Session;

type Keychain = Option<Zeroizing<String>>;

/// What the request proves with. Judged only where there is something to prove.
struct Sent<'p> {
    /// A proof, or what its absence or its form is answered with: that is never charged.
    proof: Result<Proof, ApiError>,
    tokens: Tokens<'p>,
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
    let Ok(tokens) = Tokens::read(&params) else {
        return refuse(parts, caller, ApiError::BAD_REQUEST).await;
    };
    let proof = match params.text("challenge") {
        Ok(None) => Err(ApiError::PASSPHRASE_INVALID),
        Ok(Some(text)) => Proof::from_client(text).map_err(|_| ApiError::SECRET_INVALID),
        Err(_) => Err(ApiError::SECRET_INVALID),
    };
    let sent = Sent { proof, tokens };
    let slots = [Slot::Challenge, Slot::Ledger, Slot::Keychain, Slot::Factors, Slot::Recovery];
    let stepped = parts.step(caller, &slots, |draft, session| open(parts, caller, draft, session, &sent)).await?;
    stepped.answer(|opened, receipt| {
        Ok(match opened {
            Ok(keychain) => Ok(reply(keychain.release(receipt)?.as_ref())),
            Err(error) => Err(error),
        })
    })
}

fn open<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &mut Session,
    sent: &Sent<'_>,
) -> Result<Result<Tentative<Keychain>, ApiError>, StepError> {
    let exists = parts.challenges.exists_in(draft)?;
    if exists && let Some(error) = locked_out(parts, caller, draft)? {
        return Ok(Err(error));
    }
    if session.is_authorized() {
        let Some(key) = session.user_key().map(UserKey::duplicate) else { return Ok(Ok(draft.tentative(None))) };
        return match keychain(draft, &caller.account, &key)? {
            Ok(keychain) => Ok(Ok(draft.tentative(keychain))),
            Err(error) => {
                session.close(draft)?;
                Ok(Err(error))
            }
        };
    }
    if !exists {
        // Nothing to prove: a proof is ignored (dossier § 2.5). The record's epoch ends with the first challenge.
        let saved = session.save(draft, true, None)?;
        return Ok(if saved { Ok(draft.tentative(None)) } else { Err(ApiError::BUSY) });
    }
    let key = match prove(parts, caller, draft, session, sent)? {
        Ok(key) => key,
        Err(error) => return Ok(Err(error)),
    };
    let user_key = key.peek(draft)?.duplicate();
    let keychain = match keychain(draft, &caller.account, &user_key)? {
        Ok(keychain) => keychain,
        Err(error) => {
            session.close(draft)?;
            return Ok(Err(error));
        }
    };
    if !session.save(draft, true, Some(&user_key))? {
        return Err(StepError::Misuse("an authorized session always finds room"));
    }
    draft.event(EventKind::SessionOpened);
    Ok(Ok(key.map(|_| keychain)))
}

type Proved = Result<Tentative<UserKey>, ApiError>;

/// Token, then passphrase (dossier § 2.5). A session with a credit has given its token.
fn prove<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &mut Session,
    sent: &Sent<'_>,
) -> Result<Proved, StepError> {
    let prover = parts.prover(draft, caller)?;
    if !session.has_credit() {
        match token::asked(parts, draft, &sent.tokens)? {
            Ok(true) => return prove_both(parts, caller, draft, session, sent, &prover),
            Ok(false) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    let proof = match &sent.proof {
        Ok(proof) => proof,
        Err(error) => return Ok(Err(*error)),
    };
    let verification = parts.challenges.verify_in(draft, proof, &prover)?;
    if session.has_credit() && matches!(verification, Verification::Denied(_)) {
        session.charge_credit(draft)?;
    }
    match decide(verification)? {
        Decided::Right(key) => Ok(Ok(key)),
        Decided::Wrong(charge) => denied(draft, caller, &parts.policy.challenge.ledger, &charge).map(Err),
        Decided::Refused(error) => Ok(Err(error)),
    }
}

/// Token and passphrase of one request (`decisions.md` 18). Both are held back until both are judged: a token is not
/// spent while the passphrase's door is shut, and a passphrase is neither charged nor forgiven beside a wrong token.
fn prove_both<'a, H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'a>,
    session: &mut Session,
    sent: &Sent<'_>,
    prover: &Prover,
) -> Result<Proved, StepError> {
    let ledger = &parts.policy.challenge.ledger;
    if sent.proof.is_ok() {
        let (door, tag) = (Door::Challenge, prover.tag);
        let guesser = Guesser { door, strength: Strength::Guessable, tag, passes_as: tag };
        // One that changed is judged below, so that the wait begins anew.
        if let Some(refusal) = guess::refusal(draft, ledger, &guesser)?.filter(|refusal| !refusal.changed()) {
            return Ok(Err(ApiError::LOGIN_NOT_ALLOWED.retry_after(refusal.retry_after())));
        }
    }
    let tokens = match token::judge(parts, caller, draft, &sent.tokens)? {
        Ok(tokens) => tokens,
        Err(error) => return Ok(Err(error)),
    };
    let proof = match &sent.proof {
        Ok(proof) => proof,
        Err(error) => {
            // The answer tells that the token was right: it is spent by the commit of that, and the session has its credit.
            tokens.book(draft)?;
            session.keep_credit(draft)?;
            return Ok(Err(*error));
        }
    };
    let verification = draft.judge(|draft: &mut Draft<'a>| parts.challenges.verify_in(draft, proof, prover))?;
    if !matches!(verification.outcome(), Verification::Refused(_)) {
        tokens.book(draft)?;
    }
    match decide(draft.stage(verification)?)? {
        Decided::Right(key) => Ok(Ok(key)),
        Decided::Wrong(charge) => {
            session.keep_credit(draft)?;
            denied(draft, caller, ledger, &charge).map(Err)
        }
        Decided::Refused(error) => Ok(Err(error)),
    }
}

/// How a proof was judged, of an account that has a challenge.
enum Decided {
    Right(Tentative<UserKey>),
    Wrong(Charge),
    Refused(ApiError),
}

fn decide(verification: Verification<Tentative<UserKey>>) -> Result<Decided, StepError> {
    Ok(match verification {
        Verification::Granted(key) => Decided::Right(key),
        Verification::Denied(charge) => Decided::Wrong(charge),
        Verification::Refused(refusal) => {
            Decided::Refused(ApiError::LOGIN_NOT_ALLOWED.retry_after(refusal.retry_after()))
        }
        _ => return Err(StepError::Misuse("a challenge that exists was not judged")),
    })
}

fn keychain(
    draft: &mut Draft<'_>,
    account: &AccountId,
    key: &UserKey,
) -> Result<Result<Keychain, ApiError>, StepError> {
    Ok(keychain::read(draft, account, key)?.map_err(|keychain::Unreadable| ApiError::KEYCHAIN_FAILED))
}

/// Without a client keychain, `keys` is an empty **list** (dossier § 2.5).
fn reply(keychain: Option<&Zeroizing<String>>) -> Reply {
    let keys = keychain.map_or_else(|| Value::Array(Vec::new()), |text| json!({ keychain::CSE: text.as_str() }));
    Reply::ok(&json!({"success": true, "keys": keys}))
}

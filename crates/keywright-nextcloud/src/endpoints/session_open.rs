//! `POST session/open`: checks token and challenge, and opens the session under a new id.

use keywright_challenge::{Proof, SLOTS as CHALLENGE, UserKey, Verification};
use keywright_core::{AccountId, Client, Refusal};
use keywright_store::{Draft, StepError, Tentative, guess};
use keywright_twofactor::SLOTS as FACTORS;
use keywright_wire::Reply;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::answer::{Failure, ok};
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::events::SESSION_OPENED;
use crate::guard::{PROOF, granted, held_up, proof_refused, proven};
use crate::host::Host;
use crate::keychain;
use crate::request::member;
use crate::session::Session;
use crate::session::list::Unproven;
use crate::token::{self, Given, Tokens};

type Keychain = Option<Zeroizing<String>>;

/// The proofs of the request. They are checked only where there is something to prove.
struct Sent<'p> {
    /// A proof, or the answer to a missing or malformed one, which is never charged.
    proof: Result<Proof, ApiError>,
    tokens: Tokens<'p>,
}

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let params = input.params()?;
    let Ok(tokens) = Tokens::read(&params) else {
        return Err(ApiError::BAD_REQUEST.into());
    };
    let proof = match params.text(member::CHALLENGE) {
        Ok(None) => Err(ApiError::PASSPHRASE_INVALID),
        Ok(Some(text)) => Proof::from_client(text).map_err(|_| ApiError::SECRET_INVALID),
        Err(_) => Err(ApiError::SECRET_INVALID),
    };
    let sent = Sent { proof, tokens };
    let slots = [CHALLENGE, FACTORS, PROOF, &[keychain::KEYCHAIN.name()]];
    let stepped = cx.step(caller, &slots, |draft, session| open(cx, caller, draft, session, &sent)).await?;
    let answer = stepped.answer(|opened| opened.map(|keychain| reply(keychain.as_ref())));
    keychain::tell_of_damage(cx, &caller.account, answer).await
}

fn open<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &mut Session,
    sent: &Sent<'_>,
) -> Result<Result<Tentative<Keychain>, ApiError>, StepError> {
    let exists = cx.challenges.exists_in(draft)?;
    if exists && let Some(error) = held_up(cx, caller, draft, session)? {
        let prover = caller.prover(draft, session);
        return with_tokens(cx, draft, session, sent, prover, error).map(Err);
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
        // There is nothing to prove, so a proof is ignored (protocol § 2.5). The record's epoch
        // ends with the first challenge.
        let saved = session.save(draft, Unproven::Open)?;
        return Ok(match saved {
            Ok(_) => Ok(draft.tentative(None)),
            Err(none) => Err(ApiError::no_session(none.retry_after)),
        });
    }
    let prover = caller.prover(draft, session);
    let key = match prove(cx, caller, draft, session, sent, prover)? {
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
    session.save_proven(draft, &user_key, &prover)?;
    proven(draft, caller)?;
    draft.event(&SESSION_OPENED);
    Ok(Ok(key.map(|_| keychain)))
}

type Proved = Result<Tentative<UserKey>, ApiError>;

/// Checks the token, then the passphrase (protocol § 2.5). A session with a credit has already
/// provided its token.
fn prove<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &mut Session,
    sent: &Sent<'_>,
    prover: Client,
) -> Result<Proved, StepError> {
    if !session.has_credit() {
        match token::asked(cx, draft, &sent.tokens)? {
            Ok(Some(given)) => return prove_both(cx, caller, draft, session, sent, given, prover),
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    let proof = match &sent.proof {
        Ok(proof) => proof,
        Err(error) => return Ok(Err(*error)),
    };
    let verification = cx.challenges.verify_in(draft, proof, prover)?;
    if session.has_credit() && matches!(verification, Verification::Denied(_)) {
        session.charge_credit(draft)?;
    }
    granted(cx, caller, draft, session, verification)
}

/// Checks the token and the passphrase of one request (`docs/decisions.md` 18). Both are held back
/// until both are checked: a token is not spent while the passphrase is not checked, and a
/// passphrase is neither charged nor forgiven beside a wrong token.
fn prove_both<'a, H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    draft: &mut Draft<'a>,
    session: &mut Session,
    sent: &Sent<'_>,
    given: Given<'_>,
    prover: Client,
) -> Result<Proved, StepError> {
    if sent.proof.is_ok()
        && let Some(refusal) = passphrase_refusal(cx, draft, prover)?
    {
        let error = proof_refused(cx, caller, draft, session, &refusal)?;
        return with_tokens(cx, draft, session, sent, prover, error).map(Err);
    }
    let tokens = match token::judge(cx, caller, draft, given, prover)? {
        Ok(tokens) => tokens,
        Err(error) => return Ok(Err(error)),
    };
    let proof = match &sent.proof {
        Ok(proof) => proof,
        Err(error) => {
            // The answer shows that the token was right: the commit behind that answer spends it
            // and records the session's credit.
            tokens.book(draft)?;
            session.keep_credit(draft)?;
            return Ok(Err(*error));
        }
    };
    let verification = draft.judge(|draft: &mut Draft<'a>| cx.challenges.verify_in(draft, proof, prover))?;
    if !matches!(verification.outcome(), Verification::Refused(_)) {
        tokens.book(draft)?;
    }
    let verification = draft.stage(verification)?;
    if matches!(verification, Verification::Denied(_)) {
        session.keep_credit(draft)?;
    }
    granted(cx, caller, draft, session, verification)
}

/// Returns the answer to a refused passphrase that came with tokens: the tokens' refusal, if it
/// lasts longer. So one request learns of one wait, after which nothing of it is refused for what
/// was known before.
fn with_tokens<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    session: &Session,
    sent: &Sent<'_>,
    prover: Client,
    error: ApiError,
) -> Result<ApiError, StepError> {
    if session.is_authorized() || session.has_credit() {
        return Ok(error);
    }
    let Ok(Some(given)) = token::asked(cx, draft, &sent.tokens)? else { return Ok(error) };
    let refusal = token::refusal(cx, draft, given, prover)?;
    Ok(refusal.map_or(error, |refusal| error.or_longer(&refusal)))
}

/// Returns the current refusal of a proof of the challenge.
fn passphrase_refusal<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    prover: Client,
) -> Result<Option<Refusal>, StepError> {
    let Some(attempt) = cx.challenges.attempt_in(draft, prover)? else { return Ok(None) };
    guess::refuse(draft, &attempt)
}

fn keychain(
    draft: &mut Draft<'_>,
    account: &AccountId,
    key: &UserKey,
) -> Result<Result<Keychain, ApiError>, StepError> {
    Ok(keychain::read(draft, account, key)?.map_err(|keychain::Unreadable| ApiError::KEYCHAIN_FAILED))
}

/// Returns the answer with the keychain. Without a client keychain, `keys` is an empty **list**
/// (protocol § 2.5).
fn reply(keychain: Option<&Zeroizing<String>>) -> Reply {
    let keys = keychain.map_or_else(|| Value::Array(Vec::new()), |text| json!({ keychain::CSE: text.as_str() }));
    ok(&json!({"success": true, "keys": keys}))
}

//! `POST session/open`: proves the challenge and opens the session, under a new id.

use http::Request;
use keywright_challenge::{Proof, UserKey, Verification};
use keywright_core::{AccountId, EventKind};
use keywright_store::{Draft, Slot, StepError, Tentative};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{denied, locked_out, refuse};
use crate::error::ApiError;
use crate::host::Host;
use crate::keychain;
use crate::request::body;
use crate::service::{Answer, Caller, Failure, Parts, Reply};
use crate::session::Session;

type Keychain = Option<Zeroizing<String>>;

/// What the request proves with. Judged only where there is something to prove.
enum Sent {
    Nothing,
    Malformed,
    Proof(Proof),
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
    if !params.is_object_or_absent("token") {
        return refuse(parts, caller, ApiError::BAD_REQUEST).await;
    }
    let sent = match params.text("challenge") {
        Ok(None) => Sent::Nothing,
        Ok(Some(text)) => Proof::from_client(text).map_or(Sent::Malformed, Sent::Proof),
        Err(_) => Sent::Malformed,
    };
    let slots = [Slot::Challenge, Slot::Ledger, Slot::Keychain];
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
    sent: &Sent,
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
    let proof = match sent {
        Sent::Proof(proof) => proof,
        Sent::Nothing => return Ok(Err(ApiError::PASSPHRASE_INVALID)),
        Sent::Malformed => return Ok(Err(ApiError::SECRET_INVALID)),
    };
    let prover = parts.prover(draft, caller)?;
    let key = match parts.challenges.verify_in(draft, proof, &prover)? {
        Verification::Granted(key) => key,
        Verification::Denied(charge) => {
            return denied(draft, caller, &parts.policy.challenge.ledger, &charge).map(Err);
        }
        Verification::Refused(refusal) => {
            return Ok(Err(ApiError::LOGIN_NOT_ALLOWED.retry_after(refusal.retry_after())));
        }
        _ => return Err(StepError::Misuse("a challenge that exists was not judged")),
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

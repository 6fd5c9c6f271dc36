//! `POST auth/oauth?grantType=login|2fa`: a token for a shared key, and the proof of the second factor.

use keywright_core::{AccountId, Door, Strength};
use keywright_store::guess::{self, Guesser};
use keywright_store::names::{self, NameIndex};
use keywright_store::{Draft, Partition, Slot, StepError, Tentative, TransactError};
use keywright_twofactor::{Verdict, recovery::Preset};
use serde::Deserialize;
use serde_json::json;

use crate::account::Credential;
use crate::address::Address;
use crate::error::ApiError;
use crate::guard::{Proof, SharedDoor};
use crate::host::{Host, Subject};
use crate::request::{self, Input};
use crate::service::{Answered, Failure, Parts, Reply};
use crate::tokens::{self, Login, SecondFactor};
use crate::{SharedKey, Token, UserId};

/// What a code is accepted for, where the policy has it once for each purpose.
pub(super) const PURPOSE: &str = "librepass/login";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogIn {
    email: String,
    shared_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Code {
    api_key: String,
    code: String,
}

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    match input.parameter("grantType")?.as_str() {
        "login" => log_in(parts, input).await,
        "2fa" => prove(parts, input).await,
        _ => Err(ApiError::GRANT_TYPE.into()),
    }
}

/// How a log-in ended, in its commit.
enum Ended {
    In { grant: Tentative<()>, verified: bool },
    Refused(ApiError),
}

impl Ended {
    const fn refused<T>(error: ApiError) -> Result<Self, T> {
        Ok(Self::Refused(error))
    }
}

/// The order of checks: user, verification, shared key (dossier § 5).
async fn log_in<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let body: LogIn = input.json()?;
    let address = Address::parse(&body.email).ok_or(ApiError::VALIDATION)?;
    parts.admit(input, Subject::Address(address.as_str()))?;
    let sent = SharedKey::from_hex(&body.shared_key).ok();
    let ended = match parts.find(&address).await? {
        (name, Some(account)) => parts.known(input, &name, &account, sent.as_ref()).await?,
        (_, None) if parts.is_uniform() => Err(parts.unknown(&address, sent.as_ref()).await?),
        (_, None) => Err(ApiError::USER_NOT_FOUND),
    };
    // Wrong, unknown, waiting, locked: one answer (`security.md` § 11).
    let ended = ended.map_err(|error| if parts.is_uniform() { ApiError::SHARED_KEY } else { error });
    let (token, verified) = ended?;
    Reply::json(&json!({
        "userId": token.user().to_string(),
        "apiKey": token.to_text().expose(),
        "verified": verified,
    }))
}

const LOG_IN_SLOTS: [Slot; 6] =
    [Slot::Credential, Slot::Names, Slot::Ledger, Slot::Factors, Slot::Recovery, Slot::Tokens];

impl<H: Host> Parts<H> {
    /// Judges a log-in at an account. A look without a turn comes first: while the door is shut, a crowd of strangers takes
    /// no place in the owner's queue.
    async fn known(
        &self,
        input: &Input<'_>,
        name: &NameIndex,
        account: &AccountId,
        sent: Option<&SharedKey>,
    ) -> Result<Result<(Token, bool), ApiError>, Failure> {
        let user = UserId::of_account(account).map_err(|_| StepError::NoAccount)?;
        let device = request::token(input.headers).filter(|token| *token.user() == user);
        let look = |draft: &mut Draft<'_>| {
            if let Some(error) = self.turned_away(draft, name, sent)? {
                return Ok(Some(error));
            }
            let guesser = self.guesser(draft, input, account, device.as_ref())?;
            let shut = guess::refusal(draft, &self.policy.ledger, &guesser)?;
            // One that changed is a clock's that went back: only a commit can begin the wait anew.
            Ok(shut.filter(|refusal| !refusal.changed()).map(|refusal| ApiError::too_many(refusal.retry_after())))
        };
        let partition = Partition::account(account);
        if let Some(error) = self.driver.observe(&partition, &LOG_IN_SLOTS, look).await? {
            return Ok(Err(error));
        }
        let Some(sent) = sent else { return Ok(Err(ApiError::SHARED_KEY)) };
        let fresh = Token::random(user, &**self.driver.entropy()).map_err(TransactError::from)?;
        let step = |draft: &mut Draft<'_>, door: &SharedDoor<'_>| {
            if let Some(error) = self.turned_away(draft, name, Some(sent))? {
                return Ended::refused(error);
            }
            let guesser = self.guesser(draft, input, account, device.as_ref())?;
            self.judge(draft, door, name, &guesser, sent, &fresh)
        };
        let slots: Vec<Slot> = LOG_IN_SLOTS.into_iter().chain([Slot::Token(fresh.slot())]).collect();
        let (ended, receipt) = self.with_shared_key(account, &slots, step).await?;
        match ended {
            Ended::In { grant, verified } => {
                grant.release(&receipt)?;
                Ok(Ok((fresh, verified)))
            }
            Ended::Refused(error) => Ok(Err(error)),
        }
    }

    /// What is answered before the shared key is looked at.
    fn turned_away(
        &self,
        draft: &mut Draft<'_>,
        name: &NameIndex,
        sent: Option<&SharedKey>,
    ) -> Result<Option<ApiError>, StepError> {
        let Some(credential) = Credential::read_named(draft, name)? else {
            return Ok(Some(ApiError::USER_NOT_FOUND));
        };
        if self.policy.verify_email && !credential.is_verified() && !self.is_uniform() {
            return Ok(Some(ApiError::EMAIL_NOT_VERIFIED));
        }
        // Not 64 hex digits: no guess, not charged (`decisions.md` 35a).
        Ok(if sent.is_none() { Some(ApiError::SHARED_KEY) } else { None })
    }

    /// A stranger, unless a token comes with the request that is still good, or the policy knows client addresses.
    fn guesser(
        &self,
        draft: &mut Draft<'_>,
        input: &Input<'_>,
        account: &AccountId,
        device: Option<&Token>,
    ) -> Result<Guesser, StepError> {
        let login = device.map_or(Ok(None), |token| tokens::verify_in(draft, token))?;
        let by_token = login.map(|login| self.token_tag(login.id()));
        let tag = by_token.or_else(|| self.address_tag(account, input));
        Ok(Guesser { door: Door::SharedKey, strength: Strength::Guessable, tag, passes_as: tag })
    }

    fn judge(
        &self,
        draft: &mut Draft<'_>,
        door: &SharedDoor<'_>,
        name: &NameIndex,
        guesser: &Guesser,
        sent: &SharedKey,
        fresh: &Token,
    ) -> Result<Ended, StepError> {
        let Some(credential) = Credential::read_named(draft, name)? else {
            return Ended::refused(ApiError::USER_NOT_FOUND);
        };
        // The token that is given out is what the owner's device is known by from now on.
        let by_address = self.policy.devices_by_address.then_some(guesser.tag).flatten();
        let passes_as = by_address.or_else(|| Some(self.token_tag(&fresh.slot())));
        let guesser = Guesser { passes_as, ..*guesser };
        match door.judge_as(draft, &guesser, &credential.public_key, sent)? {
            Proof::Right => {}
            Proof::Wrong => return Ended::refused(ApiError::SHARED_KEY),
            Proof::Refused { retry_after } => return Ended::refused(ApiError::too_many(retry_after)),
        }
        if !credential.is_verified() {
            if self.policy.verify_email {
                return Ended::refused(ApiError::EMAIL_NOT_VERIFIED);
            }
            // An account that is in use is nobody's to replace.
            names::firm_up(draft, name)?;
        }
        let verified = !self.factors.enrolled_in(draft)?.has_totp();
        let factor = if verified { SecondFactor::NotNeeded } else { SecondFactor::Waiting };
        let grant = tokens::issue_in(draft, fresh, factor)?;
        Ok(Ended::In { grant, verified })
    }

    /// An address without an account, under [`Privacy::Uniform`](crate::Privacy::Uniform): the same look, the same
    /// product with a decoy's key, the same charge in a decoy's ledger. It waits as an account does, but is never locked:
    /// nobody could unlock it.
    async fn unknown(&self, address: &Address, sent: Option<&SharedKey>) -> Result<ApiError, Failure> {
        let Some(sent) = sent else { return Ok(ApiError::SHARED_KEY) };
        let partition = self.decoy_partition(address);
        let guesser = Guesser { door: Door::SharedKey, strength: Strength::Unguessable, tag: None, passes_as: None };
        let shut = |draft: &mut Draft<'_>| guess::refusal(draft, &self.policy.ledger, &guesser);
        let shut = self.driver.observe(&partition, &[Slot::Ledger], shut).await?;
        if shut.is_some_and(|refusal| !refusal.changed()) {
            return Ok(ApiError::SHARED_KEY);
        }
        let step = |draft: &mut Draft<'_>, door: &SharedDoor<'_>| door.judge_as(draft, &guesser, &self.decoy_key, sent);
        self.with_shared_key_at(&partition, &[Slot::Ledger], step).await?;
        Ok(ApiError::SHARED_KEY)
    }
}

/// How a second factor was judged, in its commit.
enum Judged {
    Confirmed(Tentative<()>),
    /// It was before: nothing to do.
    Already,
    Refused(ApiError),
}

/// `{apiKey, code}`: a time-based code, or the recovery code.
async fn prove<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let body: Code = input.json()?;
    let token = Token::parse(&body.api_key).ok_or(ApiError::INVALID_TOKEN)?;
    let partition = Partition::account(token.user().account());
    let slots = [Slot::Token(token.slot()), Slot::Tokens, Slot::Factors, Slot::Recovery, Slot::Ledger];
    // A look without a turn: whoever has no token takes no place in the owner's queue.
    let look = |draft: &mut Draft<'_>| parts.unproven(draft, &token);
    let judged = match parts.driver.observe(&partition, &slots, look).await? {
        Ok(_) => {
            // Not sooner: a token that is none names whichever account its sender likes.
            parts.admit(input, Subject::Account(token.user().account()))?;
            let step = |draft: &mut Draft<'_>| parts.prove_in(draft, &token, &body.code);
            let (judged, receipt) = parts.driver.transact(&partition, &slots, step).await?;
            if let Judged::Confirmed(grant) = judged {
                grant.release(&receipt)?;
                return Ok(Reply::empty());
            }
            judged
        }
        Err(judged) => judged,
    };
    match judged {
        Judged::Confirmed(_) | Judged::Already => Ok(Reply::empty()),
        Judged::Refused(error) => Err(error.into()),
    }
}

impl<H: Host> Parts<H> {
    /// The token's login, if it is one that waits; else what is answered.
    fn unproven(&self, draft: &mut Draft<'_>, token: &Token) -> Result<Result<Login, Judged>, StepError> {
        Ok(match tokens::verify_in(draft, token)? {
            None => Err(Judged::Refused(ApiError::INVALID_TOKEN)),
            Some(login) if login.may_act() => Err(Judged::Already),
            Some(login) => Ok(login),
        })
    }

    fn prove_in(&self, draft: &mut Draft<'_>, token: &Token, code: &str) -> Result<Judged, StepError> {
        let mut login = match self.unproven(draft, token)? {
            Ok(login) => login,
            Err(judged) => return Ok(judged),
        };
        let tag = Some(self.token_tag(login.id()));
        let is_recovery = Preset::LibrePass.is_form_of(code);
        let verdict = if is_recovery {
            self.factors.verify_recovery_in(draft, code, PURPOSE, tag)?
        } else {
            self.factors.verify_totp_in(draft, code, PURPOSE, tag)?
        };
        Ok(match verdict {
            Verdict::Granted(proof) => {
                if is_recovery {
                    // The way out when strangers have locked the door of the codes.
                    self.factors.unlock_totp_in(draft, &proof)?;
                }
                tokens::confirm_in(draft, &mut login)?;
                Judged::Confirmed(proof.map(drop))
            }
            Verdict::Refused(refusal) => Judged::Refused(ApiError::too_many(refusal.retry_after())),
            // Wrong, used, malformed, none of the kind: one answer.
            _ => Judged::Refused(ApiError::TWO_FACTOR),
        })
    }
}

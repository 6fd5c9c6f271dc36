//! `POST auth/oauth?grantType=login|2fa`: returns a token for a shared key, and checks the proof of
//! the second factor.

use keywright_core::{AccountId, Client, Purpose};
use keywright_store::due::DUE;
use keywright_store::guess::{self, LEDGER};
use keywright_store::names::{NAMES, NameIndex};
use keywright_store::{
    Draft, Partition, Plain, Receipt, Release, SlotName, StepError, Tentative, TransactError, WrongReceipt,
};
use keywright_twofactor::{Method, VerifyOutcome};
use keywright_wire::Network;
use keywright_wire::Reply;
use serde::Deserialize;
use serde_json::json;

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::guard::{KeyCheck, Proof, Sender, best_known, decoy_attempt};
use crate::account::tokens::{self, Login, SecondFactor, TOKEN, TOKENS};
use crate::account::unlock;
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::keys::SharedKey;
use crate::protocol::token::Token;
use crate::protocol::user::UserId;
use crate::wire::answer::{Answered, Failure, empty, ok};
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::request::{self, Input};

/// The purpose that a code is accepted for, where the policy accepts it once for each purpose.
pub(crate) const PURPOSE: Purpose = Purpose::new("librepass/login");

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

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    match input.parameter("grantType")?.as_str() {
        "login" => log_in(cx, input).await,
        "2fa" => prove(cx, input).await,
        _ => Err(ApiError::GRANT_TYPE.into()),
    }
}

/// The end of a log-in, in its commit: whether nothing is left to prove, once the token is valid;
/// or the refusal.
type Ended = Result<(Tentative<()>, Plain<bool>), ApiError>;

/// The client that logs in: with which token, from where, and under which token from then on.
struct LogInBy<'t> {
    device: Option<Token>,
    network: Option<Network>,
    /// The client's name for itself.
    name: Option<&'t str>,
    fresh: &'t Token,
}

impl LogInBy<'_> {
    /// Returns the client as the ledger knows it: by a token that comes with the request and is
    /// still valid, else by its network, else by the token that is about to be issued. The new
    /// token becomes known in any case.
    fn sender(&self, draft: &mut Draft<'_>) -> Result<Sender, StepError> {
        let login = self.device.as_ref().map_or(Ok(None), |token| tokens::verify_in(draft, token))?;
        let named = match (login, self.network) {
            (Some(login), network) => Some(login.client(draft, network)),
            (None, network) => network.map(|network| Client::network(network.tag(draft))),
        };
        Ok(Sender { client: tokens::log_in_client_in(draft, named, self.fresh)?, network: self.network })
    }
}

/// Runs the checks in order: user, verification, shared key (protocol § 5).
async fn log_in<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Answered {
    let body: LogIn = input.json()?;
    let address = Address::parse(&body.email).ok_or(ApiError::VALIDATION)?;
    cx.admit(input, Subject::Address(address.as_str()))?;
    let sent = SharedKey::from_hex(&body.shared_key).ok();
    let ended = match cx.find(&address).await? {
        (name, Some(account)) => known(cx, input, &name, &account, sent.as_ref()).await?,
        (_, None) if cx.is_uniform() => Err(unknown(cx, input, &address, sent.as_ref()).await?),
        (_, None) if cx.is_waited_for(&address).await? => Err(ApiError::EMAIL_NOT_VERIFIED),
        (_, None) => Err(ApiError::USER_NOT_FOUND),
    };
    // Wrong, unknown, waiting and locked all have one answer (`docs/security.md` § 11).
    let ended = ended.map_err(|error| if cx.is_uniform() { ApiError::SHARED_KEY } else { error });
    let (token, verified) = ended?;
    ok(&json!({
        "userId": token.user().to_string(),
        "apiKey": token.to_text().expose(),
        "verified": verified,
    }))
}

/// The slots that a read before the commit needs.
const LOOK_SLOTS: [SlotName; 4] = [CREDENTIAL.name(), NAMES.name(), LEDGER.name(), TOKENS.name()];

/// Checks a log-in at an account. A read without a commit comes first, so that a refusal waits for
/// no other request.
async fn known<H: Host>(
    cx: &Context<H>,
    input: &Input<'_>,
    name: &NameIndex,
    account: &AccountId,
    sent: Option<&SharedKey>,
) -> Result<Result<(Token, bool), ApiError>, Failure> {
    let user = UserId::of_account(account).map_err(|_| StepError::NoAccount)?;
    let device = request::token(input.headers).filter(|token| *token.user() == user);
    let fresh = Token::random(user, &**cx.driver.entropy()).map_err(TransactError::from)?;
    let by = LogInBy { device, network: cx.network(input), name: input.client_name(), fresh: &fresh };
    let token_slots = || by.device.iter().map(|token| TOKEN.at(token.slot()).name());
    let look = |draft: &mut Draft<'_>| {
        let credential = match turned_away(draft, name, sent)? {
            Ok(credential) => credential,
            Err(error) => return Ok(Some(error)),
        };
        let sender = by.sender(draft)?;
        let attempt = credential.attempt(best_known(draft, &credential, sender.client)?);
        let Some(refusal) = guess::peek_refusal(draft, &attempt)? else { return Ok(None) };
        // Only a commit can settle a time left by a clock that went back, or make a mail due.
        let is_settled = !refusal.changed() && !unlock::is_mail_due(draft, &attempt, &refusal, sender.network)?;
        Ok(is_settled.then(|| ApiError::too_many(refusal.retry_after())))
    };
    let slots: Vec<SlotName> = LOOK_SLOTS.into_iter().chain(token_slots()).collect();
    if let Some(error) = cx.driver.observe(&Partition::account(account), &slots, look).await? {
        return Ok(Err(error));
    }
    let Some(sent) = sent else { return Ok(Err(ApiError::SHARED_KEY)) };
    let step = |draft: &mut Draft<'_>, check: &KeyCheck<'_>| judge(cx, draft, check, name, &by, sent);
    let slots: Vec<SlotName> = LOOK_SLOTS
        .into_iter()
        .chain([TOKEN.at(fresh.slot()).name()])
        .chain(keywright_twofactor::SLOTS.iter().copied())
        .chain(token_slots())
        .collect();
    let ended = cx.with_shared_key(account, &slots, step).await?;
    Ok(ended.map(|((), verified)| (fresh, verified)))
}

fn judge<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    check: &KeyCheck<'_>,
    name: &NameIndex,
    by: &LogInBy<'_>,
    sent: &SharedKey,
) -> Result<Ended, StepError> {
    let credential = match turned_away(draft, name, Some(sent))? {
        Ok(credential) => credential,
        Err(error) => return Ok(Err(error)),
    };
    let sender = by.sender(draft)?;
    match check.judge_in(draft, &credential, sent, &sender)? {
        Proof::Right => {}
        Proof::Wrong => return Ok(Err(ApiError::SHARED_KEY)),
        Proof::Refused { retry_after } => return Ok(Err(ApiError::too_many(retry_after))),
    }
    let verified = !cx.factors.enrolled_in(draft)?.has_factor();
    let factor = if verified { SecondFactor::NotNeeded } else { SecondFactor::Waiting };
    let grant = tokens::issue_in(draft, by.fresh, factor, &sender.client, by.name)?;
    Ok(Ok((grant, Plain(verified))))
}

/// Handles an address without an account, under [`Privacy::Uniform`](crate::Privacy::Uniform): the
/// same reads, the same product with a decoy's key, and the same charge in a decoy's ledger, which
/// waits and is locked as an account's.
async fn unknown<H: Host>(
    cx: &Context<H>,
    input: &Input<'_>,
    address: &Address,
    sent: Option<&SharedKey>,
) -> Result<ApiError, Failure> {
    let partition = cx.decoy_partition(address);
    // The second read of [`find`](Self::find), which does not happen for an address without an
    // account.
    cx.driver.observe(&partition, &[NAMES.name()], |_| Ok(())).await?;
    let network = cx.network(input);
    let sender = |draft: &Draft<'_>| Sender {
        client: network.map_or_else(Client::unknown, |network| Client::network(network.tag(draft))),
        network,
    };
    let look = |draft: &mut Draft<'_>| {
        let sender = sender(draft);
        let attempt = decoy_attempt(sender.client);
        let Some(refusal) = guess::peek_refusal(draft, &attempt)? else { return Ok(false) };
        Ok(!refusal.changed() && !unlock::is_mail_due(draft, &attempt, &refusal, network)?)
    };
    let is_refused = cx.driver.observe(&partition, &LOOK_SLOTS, look).await?;
    let Some(sent) = sent.filter(|_| !is_refused) else { return Ok(ApiError::SHARED_KEY) };
    let slots: Vec<SlotName> = LOOK_SLOTS.into_iter().chain([DUE.name()]).collect();
    cx.with_decoy(&partition, &slots, |draft, check| {
        let sender = sender(draft);
        check.judge_decoy(draft, &cx.decoy_key, sent, &sender)
    })
    .await?;
    Ok(ApiError::SHARED_KEY)
}
/// Returns the account's record, or the answer that comes before the shared key is checked.
fn turned_away(
    draft: &mut Draft<'_>,
    name: &NameIndex,
    sent: Option<&SharedKey>,
) -> Result<Result<Credential, ApiError>, StepError> {
    let Some(credential) = Credential::read_named(draft, name)? else { return Ok(Err(ApiError::USER_NOT_FOUND)) };
    // Text that is not 64 hex digits is not a guess, and is not charged (`docs/decisions.md` 35a).
    Ok(if sent.is_some() { Ok(credential) } else { Err(ApiError::SHARED_KEY) })
}

/// The verdict on a second factor, in its commit.
pub(crate) enum Judged<G> {
    Confirmed(G),
    /// It was proven before: there is nothing to do.
    Already,
    Refused(ApiError),
}

impl<G: Release> Release for Judged<G> {
    type Released = Judged<G::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Confirmed(grant) => Judged::Confirmed(grant.release(receipt)?),
            Self::Already => Judged::Already,
            Self::Refused(error) => Judged::Refused(error),
        })
    }
}

/// Handles `{apiKey, code}`: a time-based code, or the recovery code.
async fn prove<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Answered {
    let body: Code = input.json()?;
    let token = Token::parse(&body.api_key).ok_or(ApiError::INVALID_TOKEN)?;
    let account = token.user().account();
    let slot = TOKEN.at(token.slot()).name();
    // A read without a commit, so that a client without a token waits for no other request.
    let look = |draft: &mut Draft<'_>| Ok(unproven::<()>(draft, &token)?.err());
    let judged = match cx.driver.observe(&Partition::account(account), &[slot], look).await? {
        Some(judged) => judged,
        None => {
            // Not earlier: an invalid token names any account that its sender likes.
            cx.admit(input, Subject::Account(account))?;
            let network = cx.network(input);
            let step = |draft: &mut Draft<'_>| prove_in(cx, draft, &token, &body.code, network);
            let slots: Vec<SlotName> =
                [slot, TOKENS.name()].into_iter().chain(keywright_twofactor::SLOTS.iter().copied()).collect();
            cx.step(account, &slots, step).await?
        }
    };
    match judged {
        Judged::Confirmed(()) | Judged::Already => Ok(empty()),
        Judged::Refused(error) => Err(error.into()),
    }
}

/// Returns the token's login, if it waits for its second factor, else the answer.
fn unproven<G>(draft: &mut Draft<'_>, token: &Token) -> Result<Result<Login, Judged<G>>, StepError> {
    Ok(match tokens::verify_in(draft, token)? {
        None => Err(Judged::Refused(ApiError::INVALID_TOKEN)),
        Some(login) if login.may_act() => Err(Judged::Already),
        Some(login) => Ok(login),
    })
}

fn prove_in<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    token: &Token,
    code: &str,
    network: Option<Network>,
) -> Result<Judged<Tentative<()>>, StepError> {
    match unproven(draft, token)? {
        Ok(login) => judge_code_in(cx, draft, login, code, network),
        Err(judged) => Ok(judged),
    }
}

/// Judges a code for a login that waits for its second factor.
pub(crate) fn judge_code_in<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    mut login: Login,
    code: &str,
    network: Option<Network>,
) -> Result<Judged<Tentative<()>>, StepError> {
    if login.is_ahead(draft.now()) {
        // Also beside a refusal: otherwise it would wait for its second factor for ever.
        tokens::touch_in(draft, &mut login)?;
    }
    let client = login.prover_in(draft, network)?;
    // Recovery codes that the host's own pages have made have another form than this protocol's.
    Ok(match cx.factors.verify_code_in(draft, code, &PURPOSE, client)? {
        VerifyOutcome::Granted(proof) => {
            let method = proof.peek(draft)?.method();
            if method == Method::Recovery {
                // The way in when other clients have locked the time-based codes.
                cx.factors.admit_totp_in(draft, &proof, client)?;
            }
            tokens::confirm_in(draft, &mut login, method)?;
            Judged::Confirmed(proof.map(drop))
        }
        VerifyOutcome::Refused(refusal) => Judged::Refused(ApiError::too_many(refusal.retry_after())),
        // Wrong, used, malformed, and none of this kind all have one answer.
        VerifyOutcome::Denied(_) | VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled => {
            Judged::Refused(ApiError::TWO_FACTOR)
        }
    })
}

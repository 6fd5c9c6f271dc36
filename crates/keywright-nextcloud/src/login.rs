//! Login: an app token, or the login password, which is charged to its door before the host is asked.

use bytes::Bytes;
use http::{HeaderMap, Response};
use keywright_core::{AccountId, DeviceTag, Door, Strength};
use keywright_store::guess::{self, Guesser};
use keywright_store::{Draft, Partition, Slot, StepError};

use crate::error::ApiError;
use crate::host::{Host, Login};
use crate::request::{self, Credentials};
use crate::service::{Caller, Failure, Parts, Password, failed, limited, unauthorized};
use crate::session::Presented;

/// Why a request is not let in. None of these carries a session: they come before the app (dossier § 2.1).
pub(crate) enum Refusal {
    /// No login, or a wrong one; which, is not told.
    Unauthorized,
    /// The login password's door is shut for now.
    Wait { retry_after: u64 },
    /// It cannot be known now.
    Failed(ApiError),
}

impl Refusal {
    pub(crate) fn into_response(self) -> Response<Bytes> {
        match self {
            Self::Unauthorized => unauthorized(),
            Self::Wait { retry_after } => limited(retry_after),
            Self::Failed(error) => failed(&error),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        if matches!(failure, Failure::Transact(keywright_store::TransactError::Busy)) {
            return Self::Failed(ApiError::BUSY);
        }
        tracing::error!(error = &failure as &dyn std::error::Error, "login failed");
        Self::Failed(ApiError::FAILED)
    }
}

/// Finds out who makes a request.
pub(crate) async fn authenticate<H: Host>(parts: &Parts<H>, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let presented = request::session(headers);
    match request::credentials(headers).ok_or(Refusal::Unauthorized)? {
        Credentials::Bearer(secret) => {
            let token = parts.host.app_token(None, &secret).await.map_err(Failure::from)?;
            let token = token.filter(|token| token.live).ok_or(Refusal::Unauthorized)?;
            Ok(Caller { account: token.account, login: Login::AppToken(token.id), presented })
        }
        Credentials::Basic { name, secret } => {
            let account = parts.host.account(&name).await.map_err(Failure::from)?;
            // Asked for an unknown name too, and then not believed: the same work is done for both.
            let token = parts.host.app_token(account.as_ref(), &secret).await.map_err(Failure::from)?;
            // Nor is a host that answers with somebody else's token.
            if let Some(token) = token.filter(|token| Some(&token.account) == account.as_ref()) {
                if !token.live {
                    return Err(Refusal::Unauthorized);
                }
                return Ok(Caller { account: token.account, login: Login::AppToken(token.id), presented });
            }
            let verdict = check_password(parts, account.as_ref(), &name, presented.as_ref(), &secret).await?;
            match (verdict, account) {
                (Verdict::Right, Some(account)) => Ok(Caller { account, login: Login::Password, presented }),
                (Verdict::Right | Verdict::Wrong, _) => Err(Refusal::Unauthorized),
                (Verdict::Refused { retry_after }, _) => Err(Refusal::Wait { retry_after }),
            }
        }
    }
}

/// What a login password was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
    Refused { retry_after: u64 },
}

/// Charges a login password, asks the host, and gives the charge back if it was right: three steps in one turn, so that
/// a crowd of right logins does not charge each other out. An unknown name does the same on a decoy ledger, one of
/// 65,536, so that neither waits nor time tell it from a known one.
pub(crate) async fn check_password<H: Host>(
    parts: &Parts<H>,
    account: Option<&AccountId>,
    name: &str,
    presented: Option<&Presented>,
    password: &Password,
) -> Result<Verdict, Failure> {
    let partition = account.map_or_else(|| decoy(parts, name), Partition::account);
    let policy = &parts.policy.challenge.ledger;
    // A decoy waits as an account does, but is never locked: nobody could unlock it, and once it is, a name that meets it
    // would be told from a known one by that.
    let strength = if account.is_some() { Strength::Guessable } else { Strength::Unguessable };
    let guesser = |draft: &mut Draft<'_>| -> Result<Guesser, StepError> {
        let tag = match (account, presented) {
            (Some(account), Some(presented)) => known(parts, draft, account, presented)?,
            _ => None,
        };
        Ok(Guesser { door: Door::LoginPassword, strength, tag, passes_as: tag })
    };
    // A look without a turn: while the door is shut, a crowd of strangers takes no place in the owner's queue.
    let shut = |draft: &mut Draft<'_>| {
        let guesser = guesser(draft)?;
        guess::refusal(draft, policy, &guesser)
    };
    let refusal = parts.driver.observe(&partition, &[Slot::Ledger], shut).await?;
    if let Some(refusal) = refusal.filter(|refusal| !refusal.changed()) {
        return Ok(Verdict::Refused { retry_after: refusal.retry_after() });
    }
    let turn = parts.driver.turn(&partition).await?;
    let (charge, _) = parts
        .driver
        .transact_in(&turn, &[Slot::Ledger], |draft| {
            let guesser = guesser(draft)?;
            guess::charge_first(draft, policy, &guesser)
        })
        .await?;
    let charge = match charge {
        Ok(charge) => charge,
        Err(refusal) => return Ok(Verdict::Refused { retry_after: refusal.retry_after() }),
    };
    let right = parts.host.check_password(account, password).await? && account.is_some();
    parts
        .driver
        .transact_in(&turn, &[Slot::Ledger], |draft| {
            if right {
                let tag = charge.lane().tag();
                return guess::give_back(draft, policy, &charge, tag);
            }
            guess::confirm_charge(draft, &charge);
            Ok(())
        })
        .await?;
    Ok(if right { Verdict::Right } else { Verdict::Wrong })
}

/// The tag of a session id that is ours: it becomes known at this door when the password comes with it.
fn known<H: Host>(
    parts: &Parts<H>,
    draft: &mut Draft<'_>,
    account: &AccountId,
    presented: &Presented,
) -> Result<Option<DeviceTag>, StepError> {
    let epoch = draft.root()?.credential_epoch;
    let Some(selector) = presented.verified(draft, account, epoch)? else { return Ok(None) };
    let tag = parts.devices.tag(&[b"login-password", account.as_str().as_bytes(), &selector]);
    Ok(Some(DeviceTag::from_bytes(tag)))
}

fn decoy<H: Host>(parts: &Parts<H>, name: &str) -> Partition {
    let mut index = [0; 32];
    // Folded, as a host folds names as a rule: `ALICE` and `alice` must share a decoy as they share an account.
    let full = parts.decoys.mac(&[b"login-name", name.to_lowercase().as_bytes()]);
    index.iter_mut().zip(full).take(2).for_each(|(to, from)| *to = from);
    Partition::name(&index)
}

//! Login: by an app token, or by the login password, which is counted before the host checks it.

use http::HeaderMap;
use keywright_core::{AccountId, Attempt, ClientTag, PendingGuess, Refusal, SecretString};
use keywright_store::due::{self, DUE, DueTask};
use keywright_store::{Draft, Partition, StepError, TransactError, guess};
use keywright_wire::queue::{Requester, withdraw_if_busy};
use keywright_wire::{DueError, HostError, Network, RefusedBy, Reply};

use crate::answer::{limited, unauthorized};
use crate::client::{self, Origin, attempt};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::host::{Host, Login};
use crate::open_checks::OpenCheck;
use crate::request::{self, Credentials};
use crate::unlock;

/// Why a request is not admitted. None of these answers carries a session, because they come before
/// the app (protocol § 2.1).
pub(crate) enum Denial {
    /// No login, or a wrong one. The answer does not show which.
    Unauthorized,
    /// Guesses at the login password are not checked now.
    Wait { retry_after: u64 },
    /// The caller cannot be determined now.
    Failed(ApiError),
}

impl Denial {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Unauthorized => unauthorized(),
            Self::Wait { retry_after } => limited(retry_after, RefusedBy::GUESSES),
            Self::Failed(error) => error.reply(),
        }
    }
}

impl From<DueError> for Denial {
    fn from(failure: DueError) -> Self {
        if let Some(busy) = ApiError::busy(&failure) {
            return Self::Failed(busy);
        }
        tracing::error!(error = &failure as &dyn std::error::Error, "login failed");
        Self::Failed(if failure.lacks_room() { ApiError::NO_ROOM } else { ApiError::FAILED })
    }
}

/// Determines who makes a request.
pub(crate) async fn authenticate<H: Host>(
    cx: &Context<H>,
    headers: &HeaderMap,
    network: Option<Network>,
) -> Result<Caller, Denial> {
    let presented = request::session(headers);
    let fresh = keywright_core::random_bytes(&**cx.driver.entropy()).map_err(TransactError::from);
    let fresh = fresh.map_err(DueError::from)?;
    let caller = |account, login, presented| Caller { account, login, presented, network, fresh };
    match request::credentials(headers).ok_or(Denial::Unauthorized)? {
        Credentials::Bearer(secret) => {
            let token = cx.host.app_token(None, &secret).await.map_err(DueError::from)?;
            let token = token.filter(|token| token.live).ok_or(Denial::Unauthorized)?;
            Ok(caller(token.account, Login::AppToken(token.id), presented))
        }
        Credentials::Basic { name, secret } => {
            let account = cx.host.account(&name).await.map_err(DueError::from)?;
            // Called for an unknown name too, and the result is then ignored: the same work is done
            // for both.
            let token = cx.host.app_token(account.as_ref(), &secret).await.map_err(DueError::from)?;
            // The same holds if the host returns another account's token.
            if let Some(token) = token.filter(|token| Some(&token.account) == account.as_ref()) {
                if !token.live {
                    return Err(Denial::Unauthorized);
                }
                return Ok(caller(token.account, Login::AppToken(token.id), presented));
            }
            let peer = Origin { presented: presented.as_ref(), network };
            let verdict = check_password(cx, account.as_ref(), &name, &peer, &secret).await?;
            match (verdict, account) {
                (PasswordVerdict::Right, Some(account)) => Ok(caller(account, Login::Password, presented)),
                (PasswordVerdict::Right | PasswordVerdict::Wrong, _) => Err(Denial::Unauthorized),
                (PasswordVerdict::Refused(refusal), _) => Err(Denial::Wait { retry_after: refusal.retry_after() }),
            }
        }
    }
}

/// The verdict on a login password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PasswordVerdict {
    Right,
    Wrong,
    Refused(Refusal),
}

/// Has the host check a login password: begun in one commit, checked outside of any, recorded in
/// another. An unknown name takes the same path on a decoy ledger, one of 65,536, waits and limits
/// included, so that neither they nor the time taken show whether the name exists.
async fn check_password<H: Host>(
    cx: &Context<H>,
    account: Option<&AccountId>,
    name: &str,
    peer: &Origin<'_>,
    password: &SecretString,
) -> Result<PasswordVerdict, DueError> {
    let partition = account.map_or_else(|| cx.decoys.of_name(name), Partition::account);
    let is_admitted = admitted(cx, account, &partition, peer).await?;
    let slots = [guess::LEDGER.name(), DUE.name()];
    let (guess, judging) = loop {
        let judging = cx.open_checks.announce(&partition);
        let begun = cx.driver.transact(&partition, &slots, |draft| {
            let (begun, mail) = begin(draft, account, peer)?;
            // A sweep sends the mail, so a refusal takes no longer where there is an owner to be
            // mailed.
            mail.map_or(Ok(()), |mail| due::put_back(draft, &[mail]))?;
            Ok(begun)
        });
        match begun.await? {
            Ok(guess) => break (guess, judging),
            Err(refused) if refused.may_try_again(judging).await => {}
            Err(refused) => return Ok(PasswordVerdict::Refused(refused.refusal)),
        }
    };
    let requester = Requester::of_guess(partition, &guess).with_admitted(is_admitted);
    let right = judged(cx, account, password, &requester, &guess).await? && account.is_some();
    let settle = |draft: &mut Draft<'_>| settle(draft, &guess, right);
    let right = cx.driver.transact(requester.partition(), &[guess::LEDGER.name()], settle).await?;
    drop(judging);
    Ok(if right { PasswordVerdict::Right } else { PasswordVerdict::Wrong })
}

/// Has the host admit a guess before anything is committed for it. What the ledger will refuse anyway
/// is left to it, and not admitted.
async fn admitted<H: Host>(
    cx: &Context<H>,
    account: Option<&AccountId>,
    partition: &Partition,
    peer: &Origin<'_>,
) -> Result<bool, DueError> {
    let look = |draft: &mut Draft<'_>| {
        let attempt = attempt_of(draft, account, peer)?;
        guess::peek_standing(draft, &attempt)
    };
    // The slots that the commit will load too.
    let slots = [guess::LEDGER.name(), DUE.name()];
    let Some(standing) = cx.driver.observe(partition, &slots, look).await? else { return Ok(false) };
    cx.host.admit_guess(&Requester::new(partition.clone(), standing))?;
    Ok(true)
}

/// Calls the host. If the host is too busy to check the guess, no verdict is recorded and the guess
/// is taken back.
pub(crate) async fn judged<H: Host>(
    cx: &Context<H>,
    account: Option<&AccountId>,
    password: &SecretString,
    requester: &Requester,
    guess: &PendingGuess,
) -> Result<bool, HostError> {
    let judged = cx.host.check_password(account, password, requester).await;
    if let Err(error) = &judged {
        withdraw_if_busy(&cx.driver, requester, guess, error).await;
    }
    judged
}

/// The result of beginning a guess: the guess, or why it is not checked.
pub(crate) type Begun = Result<PendingGuess, NotBegun>;

/// A guess that is not checked now.
pub(crate) struct NotBegun {
    pub(crate) refusal: Refusal,
    /// The client's own place in the guess ledger.
    own: Option<ClientTag>,
}

impl NotBegun {
    /// Waits for a verdict if an unfinished check is in the way. Returns whether to try again.
    pub(crate) async fn may_try_again(&self, judging: OpenCheck) -> bool {
        self.refusal.is_unjudged() && judging.wait(self.own).await
    }
}

/// Begins a guess at the login password. A refusal can make a mail to the owner due.
pub(crate) fn begin(
    draft: &mut Draft<'_>,
    account: Option<&AccountId>,
    peer: &Origin<'_>,
) -> Result<(Begun, Option<DueTask>), StepError> {
    let attempt = attempt_of(draft, account, peer)?;
    let refusal = match guess::begin(draft, &attempt)? {
        Ok(pending) => return Ok((Ok(pending), None)),
        Err(refusal) => refusal,
    };
    let mail = unlock::note_refusal(draft, &attempt, &refusal, peer.network)?;
    let (ledger, policy, now) = (draft.read(guess::LEDGER)?, draft.ledger_policy(), draft.now());
    let own = ledger.and_then(|ledger| ledger.own_place(policy, &attempt, now));
    Ok((Err(NotBegun { refusal, own }), mail))
}

/// Returns the attempt that a guess at the login password is.
fn attempt_of(draft: &mut Draft<'_>, account: Option<&AccountId>, peer: &Origin<'_>) -> Result<Attempt, StepError> {
    let selector = match (account, peer.presented) {
        (Some(account), Some(presented)) => {
            let epoch = draft.root()?.credential_epoch;
            presented.verified(draft, account, epoch)
        }
        _ => None,
    };
    Ok(attempt(client::password_client(draft, peer.network, selector)?))
}

/// Records the host's verdict. Returns whether the guess was right. A guess whose verdict comes too
/// late was already charged, and is denied like a wrong one.
pub(crate) fn settle(draft: &mut Draft<'_>, guess: &PendingGuess, right: bool) -> Result<bool, StepError> {
    if !right {
        guess::settle_wrong(draft, guess)?;
        return Ok(false);
    }
    let before = draft.read(guess::LEDGER)?;
    guess::settle_right(draft, guess)?;
    Ok(draft.read(guess::LEDGER)? != before)
}

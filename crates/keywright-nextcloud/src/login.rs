//! Login: an app token, or the login password, which is counted before the host is asked.

use http::HeaderMap;
use keywright_core::{AccountId, ClientTag, PendingGuess, Refusal, SecretString};
use keywright_store::due::{self, DUE, DueTask};
use keywright_store::{Draft, Partition, StepError, TransactError, guess};
use keywright_wire::queue::{Asker, give_back_if_busy};
use keywright_wire::{DueError, HostError, Network, Reply};

use crate::answer::{limited, unauthorized};
use crate::client::{self, Origin, attempt};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::host::{Host, Login};
use crate::open_checks::OpenCheck;
use crate::request::{self, Credentials};
use crate::unlock;

/// Why a request is not let in. None of these carries a session: they come before the app (protocol § 2.1).
pub(crate) enum Denial {
    /// No login, or a wrong one: which, is not shown.
    Unauthorized,
    /// Guesses at the login password are not looked at now.
    Wait { retry_after: u64 },
    /// It cannot be known now.
    Failed(ApiError),
}

impl Denial {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Unauthorized => unauthorized(),
            Self::Wait { retry_after } => limited(retry_after),
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
        Self::Failed(ApiError::FAILED)
    }
}

/// Finds out who makes a request.
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
            // Asked for an unknown name too, and then not believed: the same work is done for both.
            let token = cx.host.app_token(account.as_ref(), &secret).await.map_err(DueError::from)?;
            // Nor is a host that answers with somebody else's token.
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

/// What a login password was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PasswordVerdict {
    Right,
    Wrong,
    Refused(Refusal),
}

/// Has the host judge a login password: begun in one commit, judged outside of any, booked in another. An unknown name
/// takes the same way on a decoy ledger, one of 65,536, waits and limits included, so that neither they nor time show
/// whether it is known.
async fn check_password<H: Host>(
    cx: &Context<H>,
    account: Option<&AccountId>,
    name: &str,
    peer: &Origin<'_>,
    password: &SecretString,
) -> Result<PasswordVerdict, DueError> {
    let partition = account.map_or_else(|| decoy(cx, name), Partition::account);
    let slots = [guess::LEDGER.name(), DUE.name()];
    let (guess, judging) = loop {
        let judging = cx.open_checks.announce(&partition);
        let begun = cx.driver.transact(&partition, &slots, |draft| {
            let (begun, mail) = begin(draft, account, peer)?;
            // A sweep sends it: a refusal takes no longer where there is somebody to be mailed.
            mail.map_or(Ok(()), |mail| due::put_back(draft, &[mail]))?;
            Ok(begun)
        });
        match begun.await? {
            Ok(guess) => break (guess, judging),
            Err(refused) if refused.may_try_again(judging).await => {}
            Err(refused) => return Ok(PasswordVerdict::Refused(refused.refusal)),
        }
    };
    let asker = Asker::of_guess(partition, &guess);
    let right = judged(cx, account, password, &asker, &guess).await? && account.is_some();
    let settle = |draft: &mut Draft<'_>| settle(draft, &guess, right);
    let right = cx.driver.transact(asker.partition(), &[guess::LEDGER.name()], settle).await?;
    drop(judging);
    Ok(if right { PasswordVerdict::Right } else { PasswordVerdict::Wrong })
}

/// Asks the host. One that is too busy to look at the guess gets no verdict booked: the guess is taken back.
pub(crate) async fn judged<H: Host>(
    cx: &Context<H>,
    account: Option<&AccountId>,
    password: &SecretString,
    asker: &Asker,
    guess: &PendingGuess,
) -> Result<bool, HostError> {
    let judged = cx.host.check_password(account, password, asker).await;
    if let Err(error) = &judged {
        give_back_if_busy(&cx.driver, asker, guess, error).await;
    }
    judged
}

/// What begins with a guess: the guess, or why it is not looked at.
pub(crate) type Begun = Result<PendingGuess, NotBegun>;

/// A guess that is not looked at now.
pub(crate) struct NotBegun {
    pub(crate) refusal: Refusal,
    /// The client's own place in the guess ledger.
    own: Option<ClientTag>,
}

impl NotBegun {
    /// Waits for a verdict where one stands in the way. Returns whether to try again.
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
    let selector = match (account, peer.presented) {
        (Some(account), Some(presented)) => {
            let epoch = draft.root()?.credential_epoch;
            presented.verified(draft, account, epoch)
        }
        _ => None,
    };
    let attempt = attempt(client::password_client(draft, peer.network, selector)?);
    let refusal = match guess::begin(draft, &attempt)? {
        Ok(pending) => return Ok((Ok(pending), None)),
        Err(refusal) => refusal,
    };
    let mail = unlock::note_refusal(draft, &attempt, &refusal, peer.network)?;
    let (ledger, policy, now) = (draft.read(guess::LEDGER)?, draft.ledger_policy(), draft.now());
    let own = ledger.and_then(|ledger| ledger.own_place(policy, &attempt, now));
    Ok((Err(NotBegun { refusal, own }), mail))
}

/// Books the host's verdict. Returns whether the guess was right: one whose verdict comes too late was charged, and is
/// denied as a wrong one is.
pub(crate) fn settle(draft: &mut Draft<'_>, guess: &PendingGuess, right: bool) -> Result<bool, StepError> {
    if !right {
        guess::settle_wrong(draft, guess)?;
        return Ok(false);
    }
    let before = draft.read(guess::LEDGER)?;
    guess::settle_right(draft, guess)?;
    Ok(draft.read(guess::LEDGER)? != before)
}

fn decoy<H: Host>(cx: &Context<H>, name: &str) -> Partition {
    let mut index = [0; 32];
    // Folded, as a host folds names as a rule: `ALICE` and `alice` must share a decoy as they share an account.
    let full = cx.decoys.mac(&[b"login-name", name.to_lowercase().as_bytes()]);
    index.iter_mut().zip(full).take(2).for_each(|(to, from)| *to = from);
    Partition::name(&index)
}

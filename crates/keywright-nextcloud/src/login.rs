//! Login: an app token, or the login password, which is counted before the host is asked.

use bytes::Bytes;
use http::{HeaderMap, Response};
use keywright_core::{AccountId, Attempt, Client, ClientTag, Generation, PendingGuess, SecretString};
use keywright_store::due::{self, DUE, DueTask};
use keywright_store::{Draft, Partition, StepError, TransactError, guess};
use keywright_wire::queue::{Asker, give_back_if_busy};
use keywright_wire::{HostError, Network};

use crate::client::{self, LOGIN_PASSWORD};
use crate::error::ApiError;
use crate::host::{Host, Login};
use crate::request::{self, Credentials};
use crate::service::{Caller, Failure, Parts, failed, limited, unauthorized};
use crate::session::Presented;
use crate::unlock;
use crate::verdicts::Judging;

/// Why a request is not let in. None of these carries a session: they come before the app (dossier § 2.1).
pub(crate) enum Refusal {
    /// No login, or a wrong one: which, is not shown.
    Unauthorized,
    /// Guesses at the login password are not looked at now.
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
        if let Some(busy) = ApiError::busy(&failure) {
            return Self::Failed(busy);
        }
        tracing::error!(error = &failure as &dyn std::error::Error, "login failed");
        Self::Failed(ApiError::FAILED)
    }
}

/// Where a login comes from: the session id and the network.
pub(crate) struct Origin<'p> {
    pub(crate) presented: Option<&'p Presented>,
    pub(crate) network: Option<Network>,
}

/// Finds out who makes a request.
pub(crate) async fn authenticate<H: Host>(
    parts: &Parts<H>,
    headers: &HeaderMap,
    network: Option<Network>,
) -> Result<Caller, Refusal> {
    let presented = request::session(headers);
    let fresh = keywright_core::random_bytes(&**parts.driver.entropy()).map_err(TransactError::from);
    let fresh = fresh.map_err(Failure::from)?;
    let caller = |account, login, presented| Caller { account, login, presented, network, fresh };
    match request::credentials(headers).ok_or(Refusal::Unauthorized)? {
        Credentials::Bearer(secret) => {
            let token = parts.host.app_token(None, &secret).await.map_err(Failure::from)?;
            let token = token.filter(|token| token.live).ok_or(Refusal::Unauthorized)?;
            Ok(caller(token.account, Login::AppToken(token.id), presented))
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
                return Ok(caller(token.account, Login::AppToken(token.id), presented));
            }
            let peer = Origin { presented: presented.as_ref(), network };
            let verdict = check_password(parts, account.as_ref(), &name, &peer, &secret).await?;
            match (verdict, account) {
                (Verdict::Right, Some(account)) => Ok(caller(account, Login::Password, presented)),
                (Verdict::Right | Verdict::Wrong, _) => Err(Refusal::Unauthorized),
                (Verdict::Refused(refusal), _) => Err(Refusal::Wait { retry_after: refusal.retry_after() }),
            }
        }
    }
}

/// What a login password was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
    Refused(keywright_core::Refusal),
}

/// Has the host judge a login password: begun in one commit, judged outside of any, booked in another. An unknown name
/// takes the same way on a decoy ledger, one of 65,536, waits and limits included, so that neither they nor time show
/// whether it is known.
async fn check_password<H: Host>(
    parts: &Parts<H>,
    account: Option<&AccountId>,
    name: &str,
    peer: &Origin<'_>,
    password: &SecretString,
) -> Result<Verdict, Failure> {
    let partition = account.map_or_else(|| decoy(parts, name), Partition::account);
    let slots = [guess::LEDGER.name(), DUE.name()];
    let (guess, judging) = loop {
        let judging = parts.verdicts.announce(&partition);
        let begun = parts.driver.transact(&partition, &slots, |draft| {
            let (begun, mail) = begin(draft, account, peer)?;
            // A sweep sends it: a refusal takes no longer where there is somebody to be mailed.
            mail.map_or(Ok(()), |mail| due::put_back(draft, &[mail]))?;
            Ok(begun)
        });
        match begun.await? {
            Ok(guess) => break (guess, judging),
            Err(refused) if refused.may_try_again(judging).await => {}
            Err(refused) => return Ok(Verdict::Refused(refused.refusal)),
        }
    };
    let asker = Asker::of_guess(partition, &guess);
    let right = judged(parts, account, password, &asker, &guess).await? && account.is_some();
    let settle = |draft: &mut Draft<'_>| settle(draft, &guess, right);
    let right = parts.driver.transact(asker.partition(), &[guess::LEDGER.name()], settle).await?;
    drop(judging);
    Ok(if right { Verdict::Right } else { Verdict::Wrong })
}

/// Asks the host. One that is too busy to look at the guess gets no verdict booked: the guess is taken back.
pub(crate) async fn judged<H: Host>(
    parts: &Parts<H>,
    account: Option<&AccountId>,
    password: &SecretString,
    asker: &Asker,
    guess: &PendingGuess,
) -> Result<bool, HostError> {
    let judged = parts.host.check_password(account, password, asker).await;
    if let Err(error) = &judged {
        give_back_if_busy(&parts.driver, asker, guess, error).await;
    }
    judged
}

/// A guess at the login password.
pub(crate) const fn attempt(client: Client) -> Attempt {
    Attempt::new(LOGIN_PASSWORD, Generation::HOST, client)
}

/// What begins with a guess: the guess, or why it is not looked at.
pub(crate) type Begun = Result<PendingGuess, NotBegun>;

/// A guess that is not looked at now.
pub(crate) struct NotBegun {
    pub(crate) refusal: keywright_core::Refusal,
    /// The client's own place in the guess ledger.
    own: Option<ClientTag>,
}

impl NotBegun {
    /// Waits for a verdict where one stands in the way. Returns whether to try again.
    pub(crate) async fn may_try_again(&self, judging: Judging) -> bool {
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

fn decoy<H: Host>(parts: &Parts<H>, name: &str) -> Partition {
    let mut index = [0; 32];
    // Folded, as a host folds names as a rule: `ALICE` and `alice` must share a decoy as they share an account.
    let full = parts.decoys.mac(&[b"login-name", name.to_lowercase().as_bytes()]);
    index.iter_mut().zip(full).take(2).for_each(|(to, from)| *to = from);
    Partition::name(&index)
}

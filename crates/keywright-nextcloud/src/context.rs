//! What an endpoint receives: the protocol's parts, the caller, and the step in its frame.

use std::sync::Arc;

use keywright_challenge::ChallengeSteps;
use keywright_confirm::ConfirmSteps;
use keywright_core::{AccountId, Client};
use keywright_store::due::DueTask;
use keywright_store::{Draft, Driver, Plain, Release, SlotName, StepError, guess};
use keywright_twofactor::TwoFactorSteps;
use keywright_wire::frame::{self, HostWork, Weight};
use keywright_wire::{Decoys, DueError, HostError, Network, Reply};
use zeroize::Zeroizing;

use crate::answer::{Answered, Failure, with_session};
use crate::client::{self, Origin};
use crate::error::ApiError;
use crate::host::{AppTokenId, Erasure, Host, Login};
use crate::open_checks::OpenChecks;
use crate::policy::NextcloudPolicy;
use crate::session::list::SESSIONS;
use crate::session::{self, Presented, SESSION, Session};
use crate::unlock::{UNLOCK_MAIL, UnlockMail};

/// The host's task of erasing the account's data.
pub(crate) const ERASE: &str = "nextcloud/erase-data";
/// The host's task of ending an app token, whose id is the detail.
pub(crate) const END_TOKEN: &str = "nextcloud/end-app-token";

/// The protocol over a store and a host.
pub(crate) struct Context<H> {
    pub(crate) driver: Driver,
    pub(crate) host: Arc<H>,
    pub(crate) policy: NextcloudPolicy,
    pub(crate) challenges: ChallengeSteps,
    pub(crate) confirmations: ConfirmSteps,
    pub(crate) factors: TwoFactorSteps,
    /// The guesses that the host is checking.
    pub(crate) open_checks: Arc<OpenChecks>,
    /// Distributes unknown names over the decoy ledgers.
    pub(crate) decoys: Decoys,
}

/// The client that makes a request, after login.
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) login: Login,
    pub(crate) presented: Option<Presented>,
    pub(crate) network: Option<Network>,
    /// The selector of the id that the answer carries, if it is a new one. It is drawn once, for
    /// every step of the request.
    pub(crate) fresh: [u8; 16],
}

impl Caller {
    /// Returns the client that proves the challenge or a second factor, as the guess ledger names
    /// it.
    pub(crate) fn prover(&self, draft: &Draft<'_>, session: &Session) -> Client {
        client::prover(draft, &self.login, self.network, session)
    }

    pub(crate) const fn origin(&self) -> Origin<'_> {
        Origin { presented: self.presented.as_ref(), network: self.network }
    }
}

/// The committed result of a step.
pub(crate) struct Stepped<T> {
    pub(crate) value: T,
    /// The session id that the answer carries.
    id: Zeroizing<String>,
}

impl<H: Host> HostWork for Context<H> {
    fn weight(&self, name: &str) -> Option<Weight> {
        match name {
            ERASE => Some(Weight::Blocking),
            END_TOKEN => Some(Weight::Required),
            UNLOCK_MAIL => Some(Weight::Later),
            _ => None,
        }
    }

    async fn work(&self, account: &AccountId, task: &DueTask) -> Result<(), HostError> {
        match task.name.as_str() {
            ERASE => self.host.erase_data(account, &Erasure { id: task.id, since: task.since }).await,
            END_TOKEN => {
                let token = AppTokenId(String::from_utf8_lossy(&task.detail).into_owned());
                self.host.end_app_token(account, &token).await
            }
            UNLOCK_MAIL => match UnlockMail::of(account, task) {
                Some(mail) => self.host.send_unlock_mail(account, &mail).await,
                None => Err(HostError::new("a mail's record has an unknown form")),
            },
            _ => Err(HostError::new("a task of another part was claimed")),
        }
    }
}

impl<H: Host> Context<H> {
    /// Runs an endpoint's step: first whatever is still due, then the session, the step, the
    /// commit, and what that commit made due. No claim on the account is held while the host works.
    pub(crate) async fn step<T: Release + Send>(
        &self,
        caller: &Caller,
        slots: &[&[SlotName]],
        mut step: impl FnMut(&mut Draft<'_>, &mut Session) -> Result<T, StepError> + Send,
    ) -> Result<Stepped<T::Released>, DueError> {
        let fresh = caller.fresh;
        // The id by which a login by password may be known to the guess ledger.
        let named = caller.presented.as_ref().filter(|_| caller.login == Login::Password);
        let slots: Vec<SlotName> = [SESSIONS.name(), SESSION.at(fresh).name()]
            .into_iter()
            .chain(caller.presented.as_ref().map(Presented::slot))
            .chain(named.map(|_| guess::LEDGER.name()))
            .chain(slots.iter().copied().flatten().copied())
            .collect();
        let (value, id) = frame::run(&self.driver, &caller.account, self, &slots, |draft| {
            let presented = caller.presented.as_ref();
            let epoch = draft.root()?.credential_epoch;
            let named = named.and_then(|named| named.verified(draft, &caller.account, epoch));
            let mut session = Session::find(draft, &caller.account, &caller.login, presented, fresh)?;
            let value = step(draft, &mut session)?;
            let id = session.answer_id(draft)?;
            if let (Some(old), Some(new)) = (named, Presented::parse(&id)) {
                client::follow(draft, old, new.selector())?;
            }
            Ok((value, Plain(id)))
        })
        .await?;
        Ok(Stepped { value, id })
    }

    /// Returns the session id for an answer that needs no step of its own.
    pub(crate) async fn session_id(&self, caller: &Caller) -> Result<Zeroizing<String>, DueError> {
        Ok(self.step(caller, &[], |_, _| Ok(())).await?.id)
    }

    /// Returns the id for an answer without reading the records. That is the id that came, so that
    /// a passing fault does not make a client drop its session; without one, it is a string that no
    /// server knows and that the next request replaces.
    pub(crate) fn unverified_id(&self, caller: &Caller) -> Zeroizing<String> {
        match &caller.presented {
            Some(presented) => Zeroizing::new(presented.text().into()),
            None => session::unknown_id(&**self.driver.entropy()).unwrap_or_default(),
        }
    }
}

impl<T> Stepped<T> {
    /// Returns the answer made from the committed value, with the session id.
    pub(crate) fn answer(self, make: impl FnOnce(T) -> Result<Reply, ApiError>) -> Answered {
        match make(self.value) {
            Ok(reply) => Ok(with_session(reply, &self.id)),
            Err(error) => Err(Failure::Refused { error, session: Some(self.id) }),
        }
    }

    /// Returns an error of the protocol, with the session id.
    pub(crate) fn refuse(self, error: ApiError) -> Failure {
        Failure::Refused { error, session: Some(self.id) }
    }
}

//! What an endpoint receives: the protocol's parts, the caller, and the step in its frame.

use std::sync::Arc;

use keywright_confirm::ConfirmSteps;
use keywright_core::{
    AccountId, Attempt, Client, Generation, IndexKey, SecretKind, SecretString, SessionId, UnixSeconds,
};
use keywright_store::due::{self, DueTask};
use keywright_store::guess::LEDGER;
use keywright_store::{Draft, Driver, Epochs, Release, SlotName, StepError};
use keywright_twofactor::TwoFactorSteps;
use keywright_wire::frame::{self, HostWork, Weight};
use keywright_wire::{Decoys, HostError, Network};

use crate::answer::Failure;
use crate::host::{EndLogins, Host, Mail, Named, UnlockMail};
use crate::policy::RocketChatPolicy;
use crate::request::Credentials;
use crate::unlock::UNLOCK_MAIL;
use crate::user::{Login, LoginTokenId, User};

/// The host's task of removing the end-to-end keys and ending all logins.
pub(crate) const REMOVE_KEYS: &str = "rocketchat/remove-keys";
/// The host's task of ending logins. The detail is the id of the token that is kept, or nothing.
pub(crate) const END_LOGINS: &str = "rocketchat/end-logins";

/// The protocol over a store and a host.
pub(crate) struct Context<H> {
    pub(crate) driver: Driver,
    pub(crate) host: Arc<H>,
    pub(crate) policy: RocketChatPolicy,
    pub(crate) factors: TwoFactorSteps,
    pub(crate) confirmations: ConfirmSteps,
    /// Names logins to confirmations and enrolments.
    pub(crate) index: IndexKey,
    pub(crate) decoys: Decoys,
}

impl<H: Host> Context<H> {
    /// Does what is still due, runs a step, commits it, and does what that commit made due. Nothing
    /// is decided while work that ends logins is under way.
    pub(crate) async fn step<T: Release + Send>(
        &self,
        account: &AccountId,
        slots: &[SlotName],
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, Failure> {
        Ok(frame::run(&self.driver, account, self, slots, step).await?)
    }

    /// Like [`step`](Self::step), for a caller, if the login is still valid: another request may
    /// have ended it between its look-up and this commit.
    pub(crate) async fn step_for<T: Release + Send>(
        &self,
        caller: &Caller,
        slots: &[SlotName],
        mut step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, Failure> {
        let step = |draft: &mut Draft<'_>| if caller.stands(draft)? { step(draft).map(Some) } else { Ok(None) };
        self.step(&caller.user.account, slots, step).await?.ok_or(Failure::Moved)
    }

    /// Has the mail sent that a refusal of this request made due, either by the host in its own
    /// time or immediately. No request fails because of it.
    pub(crate) async fn see_to_mails(&self, account: &AccountId) {
        frame::finish_quietly(&self.driver, account, self, self.host.mails_due(account)).await;
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        self.driver.clock().now().unwrap_or(UnixSeconds::EPOCH)
    }

    /// Returns the name of the login for confirmations and enrolments: what one login has begun, no
    /// other can finish.
    pub(crate) fn session(&self, caller: &Caller) -> SessionId {
        self.session_of(&caller.user, b"rocketchat-session", caller.token.0.as_bytes())
    }

    /// Returns the name of something that an account has begun, for confirmations.
    pub(crate) fn session_of(&self, user: &User, kind: &[u8], id: &[u8]) -> SessionId {
        SessionId::new(self.index.mac(&[kind, user.account.as_str().as_bytes(), id]))
    }

    /// Returns a caller as one who proves a second factor.
    pub(crate) fn prover<'c>(&self, caller: &'c Caller) -> Prover<'c> {
        let source = Source::Login(&caller.token, caller.network);
        Prover { user: &caller.user, session: self.session(caller), source }
    }
}

impl<H: Host> HostWork for Context<H> {
    fn weight(&self, name: &str) -> Option<Weight> {
        match name {
            // Each of these tasks ends logins, so one that fails holds up every request of the
            // account.
            REMOVE_KEYS | END_LOGINS => Some(Weight::Blocking),
            UNLOCK_MAIL => Some(Weight::Later),
            _ => None,
        }
    }

    async fn work(&self, account: &AccountId, task: &DueTask) -> Result<(), HostError> {
        match task.name.as_str() {
            REMOVE_KEYS => self.host.remove_keys(account).await,
            END_LOGINS if task.detail.is_empty() => self.host.end_logins(account, &EndLogins::All).await,
            END_LOGINS => {
                let kept = LoginTokenId(String::from_utf8_lossy(&task.detail).into_owned());
                self.host.end_logins(account, &EndLogins::OthersThan(kept)).await
            }
            UNLOCK_MAIL => {
                let mail = UnlockMail::of(account, task);
                let mail = mail.ok_or_else(|| HostError::new("a mail's record has an unknown form"))?;
                let user = self.host.find_user(Named::Account(account)).await?;
                let Some(user) = user.filter(|user| !user.verified_emails.is_empty()) else { return Ok(()) };
                self.host.mail(&user, Mail::ShutOut(&mail)).await.map_err(HostError::new)
            }
            _ => Err(HostError::new("a task of another part was claimed")),
        }
    }
}

/// Whether work of this protocol that may end the login is due, even if it is already claimed.
pub(crate) fn has_due(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    Ok(due::pending(draft)?.iter().any(|task| [REMOVE_KEYS, END_LOGINS].contains(&task.name.as_str())))
}

/// A caller who is logged in.
pub(crate) struct Caller {
    pub(crate) user: User,
    /// The user's id on the wire.
    pub(crate) user_id: String,
    pub(crate) token: LoginTokenId,
    /// The token itself, as it was presented.
    pub(crate) presented: SecretString,
    /// The first moment at which the token is no longer valid.
    pub(crate) expires: Option<UnixSeconds>,
    pub(crate) network: Option<Network>,
    /// The account's epochs, read **before** the host looked up the login: whatever ends logins
    /// moves them.
    epochs: Epochs,
}

impl Caller {
    pub(crate) fn new(login: Login, presented: Credentials, network: Option<Network>, epochs: Epochs) -> Self {
        Self {
            user: login.user,
            user_id: presented.user_id,
            token: login.token,
            presented: presented.token,
            expires: login.expires,
            network,
            epochs,
        }
    }

    /// Whether nothing has happened since the look-up that may have ended the login. If something
    /// has, the login is looked up again.
    pub(crate) fn stands(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        Ok(draft.root()?.epochs() == self.epochs)
    }

    /// Returns the caller as a client of the guess ledger: its login is known at the secrets that
    /// it has passed.
    pub(crate) fn client(&self, draft: &Draft<'_>) -> Client {
        Source::Login(&self.token, self.network).client(draft)
    }
}

/// One who proves a second factor: a caller who is logged in, or a log-in that is under way.
pub(crate) struct Prover<'c> {
    pub(crate) user: &'c User,
    /// What a mailed code is bound to.
    pub(crate) session: SessionId,
    pub(crate) source: Source<'c>,
}

impl Prover<'_> {
    pub(crate) fn client(&self, draft: &Draft<'_>) -> Client {
        self.source.client(draft)
    }

    /// Returns the attempt at a secret. A login that is not known there counts as its network, if
    /// that is known: presenting a fresh login must not be worse than presenting none.
    pub(crate) fn attempt(
        &self,
        draft: &mut Draft<'_>,
        secret: SecretKind,
        generation: Generation,
    ) -> Result<Attempt, StepError> {
        let client = self.client(draft);
        let attempt = Attempt::new(secret, generation, client);
        let by_network = Attempt::new(secret, generation, client.by_network());
        let (ledger, policy) = (draft.read(LEDGER)?, draft.ledger_policy());
        let is_known = |attempt: &Attempt| ledger.as_ref().is_some_and(|ledger| ledger.is_known(policy, attempt));
        Ok(if !is_known(&attempt) && is_known(&by_network) { by_network } else { attempt })
    }
}

/// Where a proof comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'c> {
    /// From a login, which is known at the secrets that it has passed.
    Login(&'c LoginTokenId, Option<Network>),
    /// From a log-in, which is known by its network only.
    Network(Option<Network>),
}

impl Source<'_> {
    pub(crate) fn client(&self, draft: &Draft<'_>) -> Client {
        match *self {
            Self::Login(token, network) => {
                let client = Client::credential(draft.client_tag(&login_credential(token)));
                network.map_or(client, |network| client.on_network(network.tag(draft)))
            }
            Self::Network(network) => {
                network.map_or_else(Client::unknown, |network| Client::network(network.tag(draft)))
            }
        }
    }
}

/// Returns the bytes that name a login to the guess ledger.
pub(crate) fn login_credential(token: &LoginTokenId) -> Vec<u8> {
    // Prefixed with the kind, so that no other credential of the account has the same bytes.
    [b"rocketchat/login/", token.0.as_bytes()].concat()
}

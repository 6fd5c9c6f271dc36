//! What an endpoint receives: the protocol's parts, the caller, and the step in its frame.

use std::sync::Arc;

use keywright_core::{AccountId, IndexKey};
use keywright_rekey::Vaults;
use keywright_store::due::{DUE, DueList, DueTask};
use keywright_store::names::{NAMES, NameIndex, Names};
use keywright_store::{Draft, Driver, Partition, Release, SlotName, StepError, TransactError};
use keywright_twofactor::TwoFactorSteps;
use keywright_wire::frame::{self, HostWork, Weight};
use keywright_wire::{DueError, HostError, Network, RefusedBy};

use crate::account::credential::CREDENTIAL;
use crate::account::guard::KeyCheck;
use crate::account::mails::{self, Letter};
use crate::account::tokens::{self, Login};
use crate::account::waiting::{self, WAITING};
use crate::policy::{LibrePassPolicy, Privacy};
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::handshake::HandshakeKeys;
use crate::protocol::keys::{PublicKey, SharedKey};
use crate::protocol::parameters::ArgonParameters;
use crate::protocol::token::Token;
use crate::protocol::user::UserId;
use crate::wire::answer::{Answered, Failure, empty};
use crate::wire::host::{Admittance, Host, Subject};
use crate::wire::privacy;
use crate::wire::request::{self, Input};

/// The size from which on a body is worth being worked on elsewhere, in bytes.
const LARGE_BODY: usize = 64 * 1024;

/// The protocol over a store and a host.
pub(crate) struct Context<H> {
    pub(crate) driver: Driver,
    pub(crate) vaults: Vaults,
    pub(crate) names: Names,
    pub(crate) keys: HandshakeKeys,
    pub(crate) factors: TwoFactorSteps,
    pub(crate) host: Arc<H>,
    pub(crate) policy: LibrePassPolicy,
    /// Hashes the codes of mailed links.
    pub(crate) links: IndexKey,
    /// Derives the answers for unknown addresses.
    pub(crate) decoys: IndexKey,
    /// The public key whose shared keys are computed for an unknown address.
    pub(crate) decoy_key: PublicKey,
}

/// A caller with a valid token, whose second factor is proven or not needed. It was looked up
/// without a commit, so every change or grant calls [`tokens::verify_in`] once more in its own
/// commit.
pub(crate) struct Caller {
    pub(crate) token: Token,
    pub(crate) login: Login,
}

impl Caller {
    pub(crate) const fn account(&self) -> &AccountId {
        self.login.user.account()
    }
}

/// Returns the name of the host's limit by which a subject is counted.
const fn limit_of(subject: Subject<'_>) -> RefusedBy {
    match subject {
        Subject::Peer => RefusedBy::REQUESTS_OF_PEER,
        Subject::Address(_) | Subject::Named(_) => RefusedBy::REQUESTS_FOR_NAME,
        Subject::Account(_) => RefusedBy::REQUESTS_OF_ACCOUNT,
    }
}

impl<H: Host> Context<H> {
    /// Runs the work on a body, by the host's [`compute`](Host::compute) if the body is large.
    pub(crate) fn compute<T: Send>(&self, body: &[u8], work: impl FnOnce() -> T + Send) -> Result<T, ApiError> {
        if body.len() < LARGE_BODY {
            return Ok(work());
        }
        let (mut work, mut done) = (Some(work), None);
        self.host.compute(&mut || {
            if let Some(work) = work.take() {
                done = Some(work());
            }
        });
        // A host that did not run the work, against its contract, gets its request denied.
        done.ok_or(ApiError::FAILED)
    }

    /// Applies the host's request limits.
    pub(crate) fn admit(&self, input: &Input<'_>, subject: Subject<'_>) -> Result<(), Failure> {
        match self.host.admit(input.endpoint, input.peer(), subject) {
            Admittance::Open => Ok(()),
            Admittance::Full { retry_after } => {
                Err(ApiError::too_many(retry_after).refused_by(limit_of(subject)).into())
            }
        }
    }

    /// Runs a step in the frame of every endpoint: the step and its commit, and then the mails that
    /// are due, because of it or from before.
    pub(crate) async fn step<T: Release + Send>(
        &self,
        account: &AccountId,
        slots: &[SlotName],
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, DueError> {
        let (value, due) = frame::run_deferred(&self.driver, account, self, slots, step).await?;
        if due {
            self.see_to_mails(account).await;
        }
        Ok(value)
    }

    /// Determines who calls. A token whose second factor is not proven may do nothing here
    /// (protocol § 11, 1).
    pub(crate) async fn login(&self, input: &Input<'_>) -> Result<Caller, Failure> {
        let token = request::token(input.headers).ok_or(ApiError::INVALID_TOKEN)?;
        let account = token.user().account();
        let partition = Partition::account(account);
        let slots = [tokens::TOKEN.at(token.slot()).name(), DUE.name()];
        let look = |draft: &mut Draft<'_>| {
            let login = tokens::verify_in(draft, &token)?.filter(Login::may_act);
            let due = login.is_some() && mails::has_due(draft)?;
            Ok(login.map(|login| (login.is_stale(draft.now()), due, login)))
        };
        let (stale, due, login) =
            self.driver.observe(&partition, &slots, look).await?.ok_or(ApiError::INVALID_TOKEN)?;
        if stale {
            let touch = |draft: &mut Draft<'_>| match tokens::verify_in(draft, &token)? {
                Some(mut login) => tokens::touch_in(draft, &mut login),
                None => Ok(()),
            };
            self.driver.transact(&partition, &slots, touch).await?;
        }
        if due {
            self.see_to_mails(account).await;
        }
        Ok(Caller { token, login })
    }

    /// Runs a step that checks a shared key, and commits what it leaves. The server's pairs are
    /// read from the store first: another instance may have renewed them, and a key made with the
    /// new pair is not wrong.
    pub(crate) async fn with_shared_key<T: Release + Send>(
        &self,
        account: &AccountId,
        slots: &[SlotName],
        mut step: impl FnMut(&mut Draft<'_>, &KeyCheck<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, DueError> {
        let check = self.key_check().await?;
        self.step(account, slots, |draft| step(draft, &check)).await
    }

    /// Like [`with_shared_key`](Self::with_shared_key), in a decoy's partition, for which nothing
    /// is ever due.
    pub(crate) async fn with_decoy(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        mut step: impl FnMut(&mut Draft<'_>, &KeyCheck<'_>) -> Result<(), StepError> + Send,
    ) -> Result<(), Failure> {
        let check = self.key_check().await?;
        Ok(self.driver.run(partition, slots, |draft| step(draft, &check)).await?)
    }

    pub(crate) async fn key_check(&self) -> Result<KeyCheck<'_>, TransactError> {
        Ok(KeyCheck { keys: self.keys.stored().await?, public_url: &self.policy.public_url })
    }

    /// Whether the new keys of a registration or a change belong together. This is not charged,
    /// because they open nothing.
    pub(crate) async fn are_a_pair(&self, public: &PublicKey, sent: &SharedKey) -> Result<bool, Failure> {
        let keys = self.keys.stored().await?;
        let now = self.driver.clock().now().map_err(TransactError::from)?;
        Ok(keys.verify(now, public, sent))
    }

    /// Returns the network that a request comes from, if the host knows it.
    pub(crate) fn network(&self, input: &Input<'_>) -> Option<Network> {
        self.host.client_address(input.peer()).map(Network::of)
    }

    /// Has the due mails of an account sent, either by the host in its own time or immediately. No
    /// request fails because of them.
    pub(crate) async fn see_to_mails(&self, account: &AccountId) {
        frame::finish_quietly(&self.driver, account, self, self.host.mails_due(account)).await;
    }

    /// Claims the mails that are due and unclaimed, and sends them. Returns how many were sent.
    pub(crate) async fn finish_mails(&self, account: &AccountId, at_start: bool) -> Result<usize, DueError> {
        frame::finish_due(&self.driver, account, self, at_start).await
    }

    pub(crate) fn is_uniform(&self) -> bool {
        self.policy.privacy == Privacy::Uniform
    }

    /// Returns the parameters that are the answer for an address without an account.
    pub(crate) fn decoy_parameters(&self, address: &Address) -> ArgonParameters {
        if self.is_uniform() { privacy::parameters(&self.decoys, address) } else { ArgonParameters::default() }
    }

    /// Returns the partition in which guesses at an address without an account are charged.
    pub(crate) fn decoy_partition(&self, address: &Address) -> Partition {
        privacy::partition(&self.decoys, address)
    }

    /// Returns the account that an address belongs to. The result proves nothing: the account must
    /// confirm it in the commit that acts.
    pub(crate) async fn find(&self, address: &Address) -> Result<(NameIndex, Option<AccountId>), Failure> {
        let name = address.index(self.driver.keyring());
        let account = self.names.find(&name).await?;
        Ok((name, account))
    }

    /// Reads the account of an address; returns `None` if it has none.
    pub(crate) async fn look<T: Send>(
        &self,
        address: &Address,
        mut look: impl FnMut(&mut Draft<'_>, &NameIndex) -> Result<T, StepError> + Send,
    ) -> Result<Option<T>, Failure> {
        let (name, Some(account)) = self.find(address).await? else { return Ok(None) };
        let slots = [CREDENTIAL.name(), NAMES.name()];
        let seen = self.driver.observe(&Partition::account(&account), &slots, |draft| look(draft, &name)).await?;
        Ok(Some(seen))
    }

    /// Whether an account owns a name. This read avoids a write where the answer is clear; only a
    /// claim decides.
    pub(crate) async fn is_taken(&self, name: &NameIndex) -> Result<bool, Failure> {
        Ok(self.names.find(name).await?.is_some())
    }

    /// Whether a registration waits for an address.
    pub(crate) async fn is_waited_for(&self, address: &Address) -> Result<bool, Failure> {
        if !self.policy.verify_email {
            return Ok(false);
        }
        let partition = address.waiting_partition(self.driver.keyring());
        Ok(self.driver.observe(&partition, &[WAITING.name()], waiting::is_waited_for).await?)
    }

    /// Returns the stored form of a link's code.
    pub(crate) fn code_hash(&self, user: &UserId, code: &[u8; 16]) -> [u8; 32] {
        self.links.mac(&[b"librepass-verify", user.as_bytes(), code])
    }

    /// Returns the link of a code. The protocol has a UUID there; all of its 128 bits are random.
    pub(crate) fn verification_link(&self, user: &UserId, code: &[u8; 16]) -> String {
        let code = keywright_rekey::id_text(keywright_store::CipherId(*code));
        format!("{}/api/auth/verifyEmail?user={user}&code={code}", self.policy.public_url)
    }

    /// Returns the answer to a request for a mail. Under [`Privacy::Uniform`] it does not show
    /// whether a mail was sent. `missing` is the number of commits that a sent mail would have
    /// taken and that this request did not take; they are then made in a decoy's partition, so that
    /// the time does not show it either.
    pub(crate) async fn promised(&self, address: &Address, missing: u8, sent: Result<(), ApiError>) -> Answered {
        if self.is_uniform() {
            let partition = self.decoy_partition(address);
            for _ in 0..missing {
                let nothing = |draft: &mut Draft<'_>| draft.put(DUE, &DueList::default());
                self.driver.transact(&partition, &[DUE.name()], nothing).await?;
            }
            return Ok(empty());
        }
        sent.map_err(Failure::from).map(|()| empty())
    }
}

impl<H: Host> HostWork for Context<H> {
    /// No request fails because of a mail: what caused it is done either way.
    fn weight(&self, name: &str) -> Option<Weight> {
        mails::is_ours(name).then_some(Weight::Later)
    }

    async fn work(&self, _: &AccountId, task: &DueTask) -> Result<(), HostError> {
        let letter: Letter = serde_json::from_slice(&task.detail).map_err(|_| HostError::new("no letter of ours"))?;
        self.host.mail(letter.mail()).await
    }
}

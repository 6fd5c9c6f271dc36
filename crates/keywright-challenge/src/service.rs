//! The async service, which runs the steps on a store. [`ChallengeSteps`] documents what each does.

use keywright_core::{AccountId, Client, ClientAdmission, ClientTag};
use keywright_store::{Draft, Driver, Partition};

use crate::error::ChallengeError;
use crate::outcome::{Keys, SetOutcome, Verification};
use crate::salts::Salts;
use crate::secret::{ChallengeSecret, Proof};
use crate::state::CHALLENGE;
use crate::step::{ChallengeSteps, SLOTS};

/// The server half of the challenge, which runs the steps on a store.
#[derive(Clone)]
pub struct Challenges {
    driver: Driver,
    steps: ChallengeSteps,
}

impl Challenges {
    /// Creates a service over a driver.
    #[must_use]
    pub const fn new(driver: Driver) -> Self {
        Self { driver, steps: ChallengeSteps::new() }
    }

    /// Returns the steps, to be composed with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &ChallengeSteps {
        &self.steps
    }

    /// Returns the salts of the account's challenge, if it has one.
    ///
    /// # Errors
    /// Returns a [`ChallengeError`] if the record cannot be read.
    pub async fn get(&self, account: &AccountId) -> Result<Option<Salts>, ChallengeError> {
        // This decides nothing, so it does not wait for other requests: a flood of guesses does not
        // keep the owner from the salts.
        let partition = Partition::account(account);
        Ok(self
            .driver
            .named("challenge.get")
            .observe(&partition, &[CHALLENGE.name()], |draft| self.steps.get_in(draft))
            .await?)
    }

    /// Sets the first challenge. The guess ledger treats `client`, by its credential and its
    /// network, as known for the new secret from the start.
    ///
    /// # Errors
    /// Returns a [`ChallengeError`] if the store, the clock or the generator fails or the account
    /// is busy. After [`TransactError::Unknown`](keywright_store::TransactError::Unknown) the
    /// challenge may have been set.
    pub async fn set(
        &self,
        account: &AccountId,
        secret: &ChallengeSecret,
        salts: &Salts,
        client: Client,
    ) -> Result<SetOutcome, ChallengeError> {
        let changed_by = tags(client);
        let partition = Partition::account(account);
        Ok(self
            .driver
            .named("challenge.set")
            .run(&partition, SLOTS, |draft| {
                draft.acts_for(client);
                self.steps.set_in(draft, secret, salts, &changed_by)
            })
            .await?)
    }

    /// Checks a proof. A client that has sent a correct proof before is not delayed by the wrong
    /// proofs of others.
    ///
    /// # Errors
    /// Returns a [`ChallengeError`] if the store, the clock or the generator fails or the account
    /// is busy; then nothing is granted.
    pub async fn verify(
        &self,
        account: &AccountId,
        proof: &Proof,
        client: Client,
    ) -> Result<Verification, ChallengeError> {
        let partition = Partition::account(account);
        Ok(self
            .driver
            .named("challenge.verify")
            .run(&partition, SLOTS, |draft| self.steps.verify_in(draft, proof, client))
            .await?)
    }

    /// Replaces the challenge, given the old secret, and ends all sessions. The guess ledger treats
    /// `client`, by its credential and its network, as known for the new secret from the start.
    ///
    /// # Errors
    /// Returns a [`ChallengeError`] if the store, the clock or the generator fails or the account
    /// is busy. After [`TransactError::Unknown`](keywright_store::TransactError::Unknown) the
    /// challenge may have been replaced.
    pub async fn replace(
        &self,
        account: &AccountId,
        old: &Proof,
        secret: &ChallengeSecret,
        salts: &Salts,
        client: Client,
    ) -> Result<Verification<Keys>, ChallengeError> {
        let changed_by = tags(client);
        let partition = Partition::account(account);
        let step = |draft: &mut Draft<'_>| self.steps.replace_in(draft, old, secret, salts, client, &changed_by);
        Ok(self.driver.named("challenge.replace").run(&partition, SLOTS, step).await?)
    }

    /// Lets a client that others have locked out make ten attempts within an hour. For this,
    /// another client that is not locked out, `by`, sends the proof once more. That proof is a
    /// guess like any other, and is counted if it is wrong.
    ///
    /// ```
    /// # use keywright_challenge::{Challenges, ChallengeError, Proof, Verification};
    /// # use keywright_core::{AccountId, Client, ClientAdmission, ClientTag};
    /// # async fn page(challenges: &Challenges, account: &AccountId, proof: &Proof, phone: Client, tablet: ClientTag)
    /// # -> Result<bool, ChallengeError> {
    /// let admitted = challenges.admit_client(account, proof, phone, tablet).await?;
    /// # Ok(
    /// matches!(admitted, Verification::Granted(ClientAdmission::Admitted { .. }))
    /// # )
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns a [`ChallengeError`] if the store, the clock or the generator fails or the account
    /// is busy; then no client is admitted.
    pub async fn admit_client(
        &self,
        account: &AccountId,
        proof: &Proof,
        by: Client,
        client: ClientTag,
    ) -> Result<Verification<ClientAdmission>, ChallengeError> {
        let partition = Partition::account(account);
        Ok(self
            .driver
            .named("challenge.admit_client")
            .run(&partition, SLOTS, |draft| self.steps.admit_client_in(draft, proof, by, client))
            .await?)
    }

    /// Lets a client make ten attempts because somebody opened the link of an unlock mail. `ticket`
    /// is what [`guess::unlock_mail`](keywright_store::guess::unlock_mail) returned for it, and
    /// only the link may reveal it. Call this on the POST of a page's button, never on a GET,
    /// because mail scanners follow links. Returns `None` if the link has expired, if it was never
    /// sent, or if the account has no challenge.
    ///
    /// # Errors
    /// Returns a [`ChallengeError`] if the store, the clock or the generator fails or the account
    /// is busy; then no client is admitted.
    pub async fn admit_by_mail(
        &self,
        account: &AccountId,
        ticket: [u8; 16],
        client: ClientTag,
    ) -> Result<Option<ClientAdmission>, ChallengeError> {
        let partition = Partition::account(account);
        Ok(self
            .driver
            .named("challenge.admit_by_mail")
            .transact(&partition, SLOTS, |draft| self.steps.admit_by_mail_in(draft, ticket, client))
            .await?)
    }

    /// Clears all waits and limits of the secret, for the operator. Returns whether there was
    /// anything to clear.
    ///
    /// # Errors
    /// Returns a [`ChallengeError`] if the store, the clock or the generator fails or the account
    /// is busy. After [`TransactError::Unknown`](keywright_store::TransactError::Unknown) they may
    /// have been cleared.
    pub async fn unlock(&self, account: &AccountId) -> Result<bool, ChallengeError> {
        let partition = Partition::account(account);
        Ok(self.driver.named("challenge.unlock").run(&partition, SLOTS, |draft| self.steps.unlock_in(draft)).await?)
    }
}

/// Returns every tag by which a client may come back. The service does not know which credentials
/// the host ends with a change, so the network becomes known too.
fn tags(client: Client) -> Vec<ClientTag> {
    let mut tags: Vec<ClientTag> = client.tag().into_iter().chain(client.network_tag()).collect();
    tags.dedup();
    tags
}

keywright_core::redacted_debug!(Challenges { steps, .. });

//! The operations get, set, verify and replace as steps, which can be composed with others in one
//! draft.

use keywright_core::{Attempt, Client, ClientAdmission, ClientTag, Generation, WrapError};
use keywright_store::guess::{self, AttemptOutcome, Comparison};
use keywright_store::{Draft, SlotName, StepError, Tentative};

use crate::events::{CHALLENGE_REPLACED, CHALLENGE_SET};
use crate::outcome::{Keys, SetOutcome, Verification};
use crate::policy::CHALLENGE_SECRET;
use crate::salts::Salts;
use crate::secret::{ChallengeSecret, Proof};
use crate::state::{CHALLENGE, Challenge, UserKey};

/// The slots that these steps read. Pass them to the driver, so that they are loaded together.
pub const SLOTS: &[SlotName] = &[CHALLENGE.name(), guess::LEDGER.name()];

/// The server half as pure steps over a draft. [`Challenges`](crate::Challenges) runs them on a
/// store.
///
/// The [`Client`] of a proof is identified by the credential that it presented, or by its network
/// if it has none. A client that has sent a correct proof before is not delayed by the wrong proofs
/// of others.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ChallengeSteps;

impl ChallengeSteps {
    /// Creates the steps.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// Returns the salts of the account's challenge, if it has one.
    ///
    /// # Errors
    /// Returns a [`StepError`] if the record cannot be read; the caller must deny.
    pub fn get_in(&self, draft: &mut Draft<'_>) -> Result<Option<Salts>, StepError> {
        let Some(challenge) = draft.read(CHALLENGE)? else { return Ok(None) };
        challenge.salts().map(Some).map_err(|_| StepError::Decode(CHALLENGE.name()))
    }

    /// Whether the account has a challenge.
    ///
    /// # Errors
    /// Returns a [`StepError`] if the record cannot be read; the caller must deny.
    pub fn exists_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        Ok(draft.read(CHALLENGE)?.is_some())
    }

    /// Sets the first challenge and moves the credential epoch. An account that already has a
    /// challenge is left unchanged.
    ///
    /// The guess ledger treats the clients in `changed_by` as known for the new secret from the
    /// start. Pass the tag of the credential of the client that sets it. If the change ends that
    /// credential, also pass the tag of its network.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is set.
    pub fn set_in(
        &self,
        draft: &mut Draft<'_>,
        secret: &ChallengeSecret,
        salts: &Salts,
        changed_by: &[ClientTag],
    ) -> Result<SetOutcome<Tentative<UserKey>>, StepError> {
        if self.exists_in(draft)? {
            return Ok(SetOutcome::Exists);
        }
        let key = write(draft, secret, salts, Generation::HOST, changed_by)?;
        draft.event(&CHALLENGE_SET);
        Ok(SetOutcome::Set(draft.tentative(key)))
    }

    /// Checks a proof. A correct one releases the user key and makes its client a known one.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged.
    pub fn verify_in(
        &self,
        draft: &mut Draft<'_>,
        proof: &Proof,
        client: Client,
    ) -> Result<Verification<Tentative<UserKey>>, StepError> {
        Ok(judge(draft, proof, client)?.map(|(key, _)| key))
    }

    /// Checks the old secret and, if it is correct, sets a new challenge with a new user key and
    /// moves the credential epoch. Of two concurrent replacements, the second is checked against
    /// the challenge of the first.
    ///
    /// The new secret starts without failures. The known clients stay known, and those in
    /// `changed_by` become known, as in [`set_in`](Self::set_in).
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged or
    /// replaced.
    pub fn replace_in(
        &self,
        draft: &mut Draft<'_>,
        old: &Proof,
        secret: &ChallengeSecret,
        salts: &Salts,
        client: Client,
        changed_by: &[ClientTag],
    ) -> Result<Verification<Tentative<Keys>>, StepError> {
        let (key, from) = match judge(draft, old, client)? {
            Verification::Granted(granted) => granted,
            Verification::Denied(charge) => return Ok(Verification::Denied(charge)),
            Verification::Refused(refusal) => return Ok(Verification::Refused(refusal)),
            Verification::NoChallenge => return Ok(Verification::NoChallenge),
        };
        let new = write(draft, secret, salts, from, changed_by)?;
        draft.event(&CHALLENGE_REPLACED);
        Ok(Verification::Granted(key.map(|old| Keys { old, new })))
    }

    /// Returns an attempt of `client` at the account's secret, or `None` if the account has no
    /// challenge. [`guess::peek_refusal`], [`guess::refuse`] and [`guess::unlock_mail`] take this
    /// value.
    ///
    /// # Errors
    /// Returns a [`StepError`] if the record cannot be read; the caller must deny.
    pub fn attempt_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<Option<Attempt>, StepError> {
        let challenge = draft.read(CHALLENGE)?;
        Ok(challenge.map(|challenge| Attempt::new(CHALLENGE_SECRET, challenge.generation(), client)))
    }

    /// Lets a client that others have locked out make ten attempts within an hour. For this,
    /// another client that is not locked out, `by`, sends the proof once more and names the client
    /// to be admitted. That proof is a guess like any other. The admission is a tentative value,
    /// which is released after the commit.
    ///
    /// This function never admits a client without a proof. A caller that has a proof of another
    /// kind (a `StepUp` of `keywright-twofactor`, for example) checks it in the same draft, and
    /// then calls [`guess::admit_client`] with the values of [`attempt_in`](Self::attempt_in).
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then no client is admitted.
    pub fn admit_client_in(
        &self,
        draft: &mut Draft<'_>,
        proof: &Proof,
        by: Client,
        client: ClientTag,
    ) -> Result<Verification<Tentative<ClientAdmission>>, StepError> {
        let (key, generation) = match judge(draft, proof, by)? {
            Verification::Granted(granted) => granted,
            Verification::Denied(charge) => return Ok(Verification::Denied(charge)),
            Verification::Refused(refusal) => return Ok(Verification::Refused(refusal)),
            Verification::NoChallenge => return Ok(Verification::NoChallenge),
        };
        let admission = guess::admit_client(draft, CHALLENGE_SECRET, generation, client)?;
        Ok(Verification::Granted(key.map(|_| admission)))
    }

    /// Admits a client by the link of an unlock mail. `ticket` is what [`guess::unlock_mail`]
    /// returned for it. Returns `None` if the ticket has expired, if it was never sent, or if the
    /// account has no challenge.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then no client is admitted.
    pub fn admit_by_mail_in(
        &self,
        draft: &mut Draft<'_>,
        ticket: [u8; 16],
        client: ClientTag,
    ) -> Result<Option<ClientAdmission>, StepError> {
        let Some(challenge) = draft.read(CHALLENGE)? else { return Ok(None) };
        guess::unlock_mail_clicked(draft, CHALLENGE_SECRET, challenge.generation(), ticket, client)
    }

    /// Clears all waits and limits of the secret, for the operator. Returns whether there was
    /// anything to clear.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is cleared.
    pub fn unlock_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        let Some(challenge) = draft.read(CHALLENGE)? else { return Ok(false) };
        guess::unlock(draft, CHALLENGE_SECRET, challenge.generation())
    }
}

/// Checks a proof. A correct one is returned with the generation of the secret that it proves.
fn judge(
    draft: &mut Draft<'_>,
    proof: &Proof,
    client: Client,
) -> Result<Verification<(Tentative<UserKey>, Generation)>, StepError> {
    let Some(challenge) = draft.read(CHALLENGE)? else { return Ok(Verification::NoChallenge) };
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let attempt = Attempt::new(CHALLENGE_SECRET, challenge.generation(), client);
    let outcome = guess::check(draft, &attempt, |_| {
        Ok(challenge.unwrap(&account, proof.expose()).map_or(Comparison::Wrong, Comparison::Right))
    })?;
    Ok(match outcome {
        AttemptOutcome::Right(key) => Verification::Granted((draft.tentative(key), challenge.generation())),
        AttemptOutcome::Wrong(charge) => Verification::Denied(charge),
        AttemptOutcome::Refused(refusal) => Verification::Refused(refusal),
    })
}

/// Writes a challenge with a new user key, starts its ledger entry, and moves the credential epoch
/// (`docs/decisions.md` 6).
fn write(
    draft: &mut Draft<'_>,
    secret: &ChallengeSecret,
    salts: &Salts,
    from: Generation,
    changed_by: &[ClientTag],
) -> Result<UserKey, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let key = UserKey::random(draft.entropy())?;
    let challenge = Challenge::new(draft.entropy(), &account, salts.clone(), secret.expose(), &key).map_err(crypto)?;
    draft.put(CHALLENGE, &challenge)?;
    guess::renew(draft, CHALLENGE_SECRET, from, challenge.generation(), changed_by)?;
    draft.move_credential_epoch()?;
    Ok(key)
}

fn crypto(error: WrapError) -> StepError {
    match error {
        WrapError::Entropy(error) => StepError::Entropy(error),
        _ => StepError::Crypto,
    }
}

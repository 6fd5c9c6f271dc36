//! Guesses at recovery codes of which another system kept slow hashes. The server compares them, in
//! between two commits: the first lets the guess ledger admit the guess, the second grants.

use keywright_core::ledger::PendingGuess;
use keywright_core::{Attempt, Client, Purpose, SecretString};
use keywright_store::guess::{self, AttemptOutcome, Comparison, Spent};
use keywright_store::{BoxFuture, Draft, StepError, Tentative};
use zeroize::Zeroizing;

use super::imported::{IMPORTED, Imported, ImportedSet, Looked};
use super::state::Recovery;
use super::step::report_use;
use crate::outcome::{Denial, Method, Proven, VerifyOutcome};
use crate::step::TwoFactorSteps;

/// Compares typed codes with hashes that another system made: with bcrypt, Argon2, or whatever it
/// used. The server supplies it, because it decides on which threads slow work runs and how much of
/// it at once.
///
/// ```
/// use keywright_twofactor::recovery::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};
/// use keywright_store::BoxFuture;
/// # mod bcrypt { pub fn verify(_: &[u8], _: &str) -> Result<bool, ()> { Ok(false) } }
///
/// #[derive(Debug)]
/// struct Bcrypt;
///
/// impl CodeVerifier for Bcrypt {
///     fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
///         Box::pin(async move {
///             let compare = move || job.run(|hash, code| bcrypt::verify(code, hash).unwrap_or(false));
///             tokio::task::spawn_blocking(compare).await.map_err(|_| VerifierUnavailable)
///         })
///     }
/// }
/// # let _ = Bcrypt;
/// ```
pub trait CodeVerifier: std::fmt::Debug + Send + Sync {
    /// Runs a job. The guess ledger has admitted the guess, and charges it if no verdict follows.
    ///
    /// # Errors
    /// Returns [`VerifierUnavailable`] if the job was **not** run, because the server is busy. The
    /// guess is not charged then.
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>>;
}

/// The verifier has not compared a code, because it is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code was not compared: the verifier is busy")]
pub struct VerifierUnavailable;

/// A typed code, and the hashes with which it is to be compared: those of unused codes, at most
/// [`MAX_HASHES`](super::MAX_HASHES).
pub struct HashJob {
    code: Zeroizing<Vec<u8>>,
    hashes: Vec<SecretString>,
}

impl HashJob {
    /// Compares the code with one hash after the other. `matches` takes a hash and the code, and
    /// returns whether they belong together; of a hash that it does not understand it returns
    /// false.
    #[must_use]
    pub fn run(&self, matches: impl Fn(&str, &[u8]) -> bool) -> HashMatch {
        let found = self.hashes.iter().find(|hash| matches(hash.expose(), &self.code));
        HashMatch(found.map(|hash| SecretString::new(hash.expose().to_owned())))
    }

    /// Returns the number of hashes.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.hashes.len()
    }
}

keywright_core::redacted_debug!(HashJob { hashes, .. });

/// What a [`HashJob`] has found. Only [`HashJob::run`] makes one.
pub struct HashMatch(Option<SecretString>);

impl HashMatch {
    /// Whether the code belongs to one of the hashes.
    pub(crate) const fn is_match(&self) -> bool {
        self.0.is_some()
    }
}

keywright_core::redacted_debug!(HashMatch);

/// How a guess at hashed recovery codes begins.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum HashedStart {
    /// Compare the code with the hashes, and [settle](TwoFactorSteps::settle_hashed_in) the guess.
    Compare(HashedGuess, HashJob),
    /// The code is wrong without a comparison: it was used before.
    Denied(Denial),
    /// Guesses are paused or locked.
    Refused(keywright_core::Refusal),
    /// The text cannot be a recovery code.
    Malformed,
    /// The account has no hashed recovery codes.
    NotEnrolled,
}

keywright_store::released_as_is!(HashedStart);

/// A guess at hashed recovery codes whose verdict is pending.
pub struct HashedGuess {
    pending: PendingGuess,
    code: Zeroizing<Vec<u8>>,
}

keywright_core::redacted_debug!(HashedGuess { pending, .. });

/// Recovery codes of which another system kept slow hashes.
impl TwoFactorSteps {
    /// Begins a guess at hashed recovery codes, in the first of two commits. The guess ledger
    /// counts it as wrong if it is not settled.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is begun.
    pub fn begin_hashed_in(&self, draft: &mut Draft<'_>, code: &str, client: Client) -> Result<HashedStart, StepError> {
        let Some(set) = hashed(draft)? else { return Ok(HashedStart::NotEnrolled) };
        let Some(code) = set.form.parse(code) else { return Ok(HashedStart::Malformed) };
        let attempt = attempt(draft, client)?;
        if matches!(set.look(&code)?, Looked::Used) {
            return Ok(match guess::check_single_use(draft, &attempt, |_| Ok(Comparison::<(), _>::Replayed(Spent)))? {
                AttemptOutcome::Refused(refusal) => HashedStart::Refused(refusal),
                _ => HashedStart::Denied(Denial { charge: None }),
            });
        }
        Ok(match guess::begin(draft, &attempt)? {
            Err(refusal) => HashedStart::Refused(refusal),
            Ok(pending) => {
                let ImportedSet { hashes, .. } = set;
                HashedStart::Compare(HashedGuess { pending, code: code.clone() }, HashJob { code, hashes })
            }
        })
    }

    /// Settles a guess at hashed recovery codes, in the second commit. A right code is spent in it.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is granted.
    pub fn settle_hashed_in(
        &self,
        draft: &mut Draft<'_>,
        guess: &HashedGuess,
        found: &HashMatch,
        purpose: &Purpose,
    ) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        guess::for_purpose(draft, purpose.as_str());
        let Some(hash) = &found.0 else {
            let charge = guess::settle_wrong(draft, &guess.pending)?;
            return Ok(VerifyOutcome::Denied(Denial { charge }));
        };
        let imported = draft.read(IMPORTED)?;
        let Some((at, mut set)) = imported.and_then(|Imported { at, codes }| Some((at, codes?))) else {
            // Other codes have replaced them meanwhile.
            guess::withdraw(draft, &guess.pending)?;
            return Ok(VerifyOutcome::Denied(Denial { charge: None }));
        };
        if !set.spend_hash(hash.expose(), &guess.code)? {
            // Another request has spent the same code meanwhile: a replay, which is not charged.
            guess::withdraw(draft, &guess.pending)?;
            return Ok(VerifyOutcome::Denied(Denial { charge: None }));
        }
        if !guess::settle_right(draft, &guess.pending)? {
            return Ok(VerifyOutcome::Denied(Denial { charge: None }));
        }
        let (remaining, made) = (set.remaining(), set.made);
        draft.put(IMPORTED, &Imported { at, codes: Some(set) })?;
        report_use(draft, remaining, made, purpose);
        let proven = Proven::new(account, Method::Recovery, purpose.clone(), draft.root()?.epochs());
        Ok(VerifyOutcome::Granted(draft.tentative(proven)))
    }

    /// Withdraws a guess at hashed recovery codes that was not compared. It is not charged.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then the guess is charged
    /// after a while.
    pub fn withdraw_hashed_in(&self, draft: &mut Draft<'_>, guess: &HashedGuess) -> Result<bool, StepError> {
        guess::withdraw(draft, &guess.pending)
    }
}

/// Whether the account's recovery codes are slow hashes.
pub(crate) fn has_hashes(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    Ok(hashed(draft)?.is_some())
}

/// Returns the account's set of slow hashes, if it has one.
fn hashed(draft: &mut Draft<'_>) -> Result<Option<ImportedSet>, StepError> {
    if Recovery::read(draft)?.live.is_some() {
        return Ok(None);
    }
    Ok(draft.read(IMPORTED)?.and_then(|imported| imported.codes).filter(ImportedSet::is_hashed))
}

fn attempt(draft: &mut Draft<'_>, client: Client) -> Result<Attempt, StepError> {
    Ok(Attempt::new(ImportedSet::secret(), Recovery::read(draft)?.generation, client))
}

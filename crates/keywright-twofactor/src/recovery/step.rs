//! The transitions of recovery codes.

use keywright_core::{AccountId, Attempt, Client, Event, Purpose, Refusal, SecretString, SessionId, UnixSeconds};
use keywright_store::guess::{self, AttemptOutcome, Comparison, Spent};
use keywright_store::{Draft, StepError, Tentative, hashed};

use super::code::{Canonical, Liveness};
use super::error::ImportError;
use super::imported::{CodeForm, IMPORTED, Imported, ImportedSet, Looked};
use super::set::{CodeSet, Matched, RecoveryCodes};
use super::state::{Pending, RECOVERY, Recovery};
use crate::events;
use crate::origin::Origin;
use crate::outcome::{Denial, Method, Proven, VerifyOutcome};
use crate::policy::TwoFactorPolicy;
use crate::session::session_digest;
use crate::step::{TwoFactorSteps, changed_by, move_epochs};

/// If this many unused codes or fewer are left, each use emits an event which reports that new ones
/// should be made (`docs/security.md` § 5: the last three).
pub const LOW: u8 = 3;

/// The label of the digest that names the session that was shown a pending set.
const SESSION_LABEL: &[u8] = b"keywright/v1/twofactor.recovery";

/// Recovery codes.
impl TwoFactorSteps {
    /// Makes a set of recovery codes, to be shown once.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written or the generator fails; then
    /// no set is made.
    pub fn make_recovery_in(
        &self,
        draft: &mut Draft<'_>,
        liveness: Liveness,
        client: Client,
    ) -> Result<Tentative<RecoveryCodes>, StepError> {
        draft.acts_for(client);
        let mut recovery = Recovery::read(draft)?;
        let (set, codes) = CodeSet::make(draft.entropy(), self.policy.recovery, draft.now())?;
        draft.event(&events::RECOVERY_CODES_MADE);
        match liveness {
            Liveness::Now => self.go_live(draft, recovery, set, client)?,
            Liveness::OnAcknowledgement { session } => {
                let session = session_digest(SESSION_LABEL, session);
                let (epochs, expires) = (draft.root()?.epochs(), set.made.plus(self.policy.pending_seconds));
                recovery.pending = Some(Pending { set, session, epochs, expires });
                recovery.put(draft)?;
            }
        }
        Ok(draft.tentative(codes))
    }

    /// Whether the account has a recovery code that is not used yet.
    pub(crate) fn has_recovery_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        Ok(live(draft)?.is_some_and(|live| live.remaining() > 0))
    }

    /// Records that the owner has kept the codes: the pending set becomes live, and the previous
    /// one is void. Returns false, and the previous set stays live, if no set that this session was
    /// shown is pending, or if the pending set is void or older than the policy's
    /// [`pending_seconds`](crate::TwoFactorPolicyBuilder::pending_seconds). Another session of the
    /// account cannot activate codes that the owner may not have kept.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then the set stays pending.
    pub fn acknowledge_recovery_in(
        &self,
        draft: &mut Draft<'_>,
        session: SessionId,
        client: Client,
    ) -> Result<bool, StepError> {
        draft.acts_for(client);
        let session = session_digest(SESSION_LABEL, session);
        let mut recovery = Recovery::read(draft)?;
        let Some(pending) = recovery.pending.take().filter(|pending| pending.is_of(&session)) else {
            return Ok(false);
        };
        if !pending.is_live(draft)? {
            return Ok(false);
        }
        self.go_live(draft, recovery, pending.set, client)?;
        Ok(true)
    }

    /// Imports codes of the policy's preset that were made elsewhere. All are unused and active
    /// immediately, and they replace the account's present codes. This is for migrating an account
    /// from another system.
    ///
    /// # Errors
    /// Returns an [`ImportError`] if the codes do not form a set of the policy's preset, or a
    /// record cannot be read or written; then nothing is imported.
    pub fn import_recovery_in(&self, draft: &mut Draft<'_>, codes: &[&str]) -> Result<(), ImportError> {
        let set = CodeSet::import(draft.entropy(), self.policy.recovery, draft.now(), codes)?;
        let recovery = Recovery::read(draft)?;
        // An import is the operator's: no client of the owner has sent it.
        Ok(self.go_live(draft, recovery, set, Client::unknown())?)
    }

    /// Imports codes in the form in which Rocket.Chat stores them, lower-case hex SHA-256 each.
    /// Otherwise this is like [`import_recovery_in`](Self::import_recovery_in). It is for a host
    /// that migrates its accounts.
    ///
    /// # Errors
    /// Returns an [`ImportError`] if the digests do not form a set, or a record cannot be read or
    /// written; then nothing is imported.
    pub fn import_recovery_digests_in(&self, draft: &mut Draft<'_>, digests: &[&str]) -> Result<(), ImportError> {
        let set = CodeSet::import_digests(draft.entropy(), draft.now(), digests)?;
        let recovery = Recovery::read(draft)?;
        // An import is the operator's: no client of the owner has sent it.
        Ok(self.go_live(draft, recovery, set, Client::unknown())?)
    }

    /// Removes the live set and the pending one. Returns whether there was either.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is removed.
    pub fn remove_recovery_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<bool, StepError> {
        draft.acts_for(client);
        remove(draft, &self.policy, client)
    }

    /// Checks a recovery code and spends it if it is correct.
    ///
    /// A wait is reported before the code is compared. Two answers are given at any time, without
    /// writing anything: [`VerifyOutcome::Malformed`] for a text that does not have the form of the
    /// live set's codes, and [`VerifyOutcome::NotEnrolled`] for an account without a live set. So is
    /// one whose codes were imported as slow hashes, if the draft [cannot
    /// compare](Draft::can_compare) them.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written, and
    /// [`StepError::NeedsComparison`] for a code that must be compared with slow hashes; pass it on.
    /// Then nothing is charged and nothing spent.
    pub fn verify_recovery_in(
        &self,
        draft: &mut Draft<'_>,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        guess::for_purpose(draft, purpose.as_str());
        let mut recovery = Recovery::read(draft)?;
        let generation = recovery.generation;
        let Some(live) = &mut recovery.live else {
            return verify_imported(
                draft,
                account,
                Attempt::new(ImportedSet::secret(), generation, client),
                code,
                purpose,
            );
        };
        let Some(typed) = Canonical::parse(live.preset(), code) else { return Ok(VerifyOutcome::Malformed) };
        let secret = RECOVERY.with_strength(live.preset().strength());
        let outcome = guess::check_single_use(draft, &Attempt::new(secret, generation, client), |_| {
            Ok(match live.look(&typed)? {
                Matched::Unused(code) => Comparison::Right(code),
                Matched::Used => Comparison::Replayed(Spent),
                Matched::Wrong | Matched::Malformed => Comparison::Wrong,
            })
        })?;
        let spend = match outcome {
            AttemptOutcome::Right(spend) => spend,
            AttemptOutcome::Wrong(charge) => return Ok(VerifyOutcome::Denied(Denial { charge: Some(charge) })),
            AttemptOutcome::Replayed(Spent) => return Ok(VerifyOutcome::Denied(Denial { charge: None })),
            AttemptOutcome::Refused(refusal) => return Ok(VerifyOutcome::Refused(refusal)),
        };
        live.spend(spend);
        let (remaining, made) = (live.remaining(), live.made);
        recovery.put(draft)?;
        report_use(draft, remaining, made, purpose);
        let proven = Proven::new(account, Method::Recovery, purpose.clone(), draft.root()?.epochs());
        Ok(VerifyOutcome::Granted(draft.tentative(proven)))
    }

    /// Returns the refusal that a recovery code would get now. This only reads and changes nothing.
    /// Returns `None` also if the account has no live set.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn recovery_refusal_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<Option<Refusal>, StepError> {
        match attempt(draft, client)? {
            Some(attempt) => guess::peek_refusal(draft, &attempt),
            None => Ok(None),
        }
    }

    /// Returns the refusal that every recovery code gets now, to be answered before a code is
    /// checked. Where only guesses that are being compared are in the way, that is none: the check
    /// then fails as busy. Unlike [`recovery_refusal_in`](Self::recovery_refusal_in), it corrects a stored
    /// time that lies in the future, once, after the clock went back.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn recovery_refused_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<Option<Refusal>, StepError> {
        match attempt(draft, client)? {
            Some(attempt) => Ok(guess::refuse(draft, &attempt)?.filter(|refusal| !refusal.is_unjudged())),
            None => Ok(None),
        }
    }
}

/// The codes that work for an account: a set that was made here, or one that was imported.
pub(crate) struct LiveCodes {
    remaining: u8,
    pub(crate) form: CodeForm,
    /// Through what they were made.
    pub(crate) origin: Origin,
}

impl LiveCodes {
    /// Returns the number of codes that still work.
    pub(crate) const fn remaining(&self) -> u8 {
        self.remaining
    }
}

/// Returns the codes that work, if there are any.
pub(crate) fn live(draft: &mut Draft<'_>) -> Result<Option<LiveCodes>, StepError> {
    let recovery = Recovery::read(draft)?;
    if let Some(set) = recovery.live {
        let form = CodeForm::Preset(set.preset());
        return Ok(Some(LiveCodes { remaining: set.remaining(), form, origin: recovery.origin }));
    }
    let codes = draft.read(IMPORTED)?.and_then(|imported| imported.codes);
    Ok(codes.map(|set| {
        let form = CodeForm::Imported(set.form);
        LiveCodes { remaining: set.remaining(), form, origin: Origin::LIBRARY }
    }))
}

/// The code of an imported set that was found.
enum Found {
    /// By its keyed hash: the bits of the codes that match.
    Mac(u32),
    /// By its slow hash.
    Hash(SecretString),
}

/// Whether the account's recovery codes are slow hashes.
pub(crate) fn has_hashes(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    if Recovery::read(draft)?.live.is_some() {
        return Ok(false);
    }
    Ok(draft.read(IMPORTED)?.and_then(|imported| imported.codes).is_some_and(|set| set.is_hashed()))
}

/// Checks a code of an imported set.
fn verify_imported(
    draft: &mut Draft<'_>,
    account: AccountId,
    attempt: Attempt,
    code: &str,
    purpose: &Purpose,
) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
    let imported = draft.read(IMPORTED)?;
    let Some((at, mut set)) = imported.and_then(|Imported { at, codes }| Some((at, codes?))) else {
        return Ok(VerifyOutcome::NotEnrolled);
    };
    if set.is_hashed() && !draft.can_compare() {
        return Ok(VerifyOutcome::NotEnrolled);
    }
    let Some(typed) = set.form.parse(code) else { return Ok(VerifyOutcome::Malformed) };
    let looked = set.look(&typed)?;
    let outcome = if set.is_hashed() && matches!(looked, Looked::Wrong) {
        hashed::check(draft, &attempt, &typed, &set.hashes)?.map(Found::Hash)
    } else {
        guess::check_single_use(draft, &attempt, |_| {
            Ok(match looked {
                Looked::Unused(found) => Comparison::Right(Found::Mac(found)),
                Looked::Used => Comparison::Replayed(Spent),
                Looked::Wrong => Comparison::Wrong,
            })
        })?
    };
    match outcome {
        AttemptOutcome::Right(Found::Mac(found)) => set.spend(found),
        AttemptOutcome::Right(Found::Hash(hash)) => {
            if !set.spend_hash(hash.expose(), &typed)? {
                return Err(StepError::Misuse("a hash that was compared is not in the set"));
            }
        }
        AttemptOutcome::Wrong(charge) => return Ok(VerifyOutcome::Denied(Denial { charge: Some(charge) })),
        AttemptOutcome::Replayed(Spent) => return Ok(VerifyOutcome::Denied(Denial { charge: None })),
        AttemptOutcome::Refused(refusal) => return Ok(VerifyOutcome::Refused(refusal)),
    }
    let (remaining, made) = (set.remaining(), set.made);
    draft.put(IMPORTED, &Imported { at, codes: Some(set) })?;
    report_use(draft, remaining, made, purpose);
    let proven = Proven::new(account, Method::Recovery, purpose.clone(), draft.root()?.epochs());
    Ok(VerifyOutcome::Granted(draft.tentative(proven)))
}

/// Emits the events of the use of a code.
pub(crate) fn report_use(draft: &mut Draft<'_>, remaining: u8, made: UnixSeconds, purpose: &Purpose) {
    draft.event(Event::new(&events::RECOVERY_CODE_USED).with("remaining", remaining).with("purpose", purpose.as_str()));
    if remaining == 0 {
        draft.event(&events::RECOVERY_CODES_EXHAUSTED);
    } else if remaining <= LOW {
        draft.event(Event::new(&events::RECOVERY_CODES_LOW).with("remaining", remaining));
    }
    if made < draft.keyring().fence() {
        draft.event(Event::new(&events::RECOVERY_CODES_STALE).with("remaining", remaining));
    }
}

/// Returns a client's attempt at the codes that work, or `None` if there are none.
pub(crate) fn attempt(draft: &mut Draft<'_>, client: Client) -> Result<Option<Attempt>, StepError> {
    let recovery = Recovery::read(draft)?;
    let secret = match recovery.live {
        Some(live) => Some(RECOVERY.with_strength(live.preset().strength())),
        None => draft.read(IMPORTED)?.and_then(|imported| imported.codes).map(|_| ImportedSet::secret()),
    };
    Ok(secret.map(|secret| Attempt::new(secret, recovery.generation, client)))
}

/// Drops the imported codes. That the account was imported stays recorded. Returns whether there
/// were any.
fn drop_imported(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    match draft.read(IMPORTED)? {
        Some(Imported { at, codes: Some(_) }) => {
            draft.put(IMPORTED, &Imported { at, codes: None })?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Removes the live set and the pending one, and clears the guesses at them.
pub(crate) fn remove(draft: &mut Draft<'_>, policy: &TwoFactorPolicy, client: Client) -> Result<bool, StepError> {
    let mut recovery = Recovery::read(draft)?;
    let (live, pending) = (recovery.live.take(), recovery.pending.take());
    let imported = drop_imported(draft)?;
    if live.is_none() && pending.is_none() && !imported {
        return Ok(false);
    }
    if live.is_some() || imported {
        recovery.renew(draft, &changed_by(policy, client))?;
    }
    recovery.put(draft)?;
    move_epochs(draft, policy)?;
    draft.event(&events::RECOVERY_CODES_REMOVED);
    Ok(true)
}

impl TwoFactorSteps {
    /// Replaces all the recovery codes of the account with this set. The guesses counted so far
    /// were at other codes: a limit that outlived them would lock out the owner of the new ones.
    fn go_live(
        &self,
        draft: &mut Draft<'_>,
        mut recovery: Recovery,
        set: CodeSet,
        client: Client,
    ) -> Result<(), StepError> {
        recovery.renew(draft, &changed_by(&self.policy, client))?;
        recovery.origin = match live(draft)? {
            Some(replaced) => replaced.origin.replaced_by(&self.origin),
            None => self.origin.clone(),
        };
        drop_imported(draft)?;
        recovery.live = Some(set);
        recovery.pending = None;
        recovery.put(draft)?;
        move_epochs(draft, &self.policy)?;
        draft.event(&events::RECOVERY_CODES_LIVE);
        Ok(())
    }
}

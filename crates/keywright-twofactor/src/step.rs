//! The steps: pure transitions that can be composed in a caller's draft.
//! [`TwoFactor`](crate::TwoFactor) runs them on a store.
//!
//! The methods are defined next to their subject: devices and time-based codes in `totp/`, recovery
//! codes in `recovery/`.

use keywright_core::{ActionName, Attempt, Client, ClientAdmission, ClientTag, LedgerPolicy, Purpose, SessionId};
use keywright_store::{Draft, SlotName, StepError, Tentative, guess};

use crate::attested::state::{ATTESTED, AttestedFactors};
use crate::enrolled::Enrolled;
use crate::events;
use crate::origin::Origin;
use crate::outcome::{Method, Proven, VerifyOutcome};
use crate::policy::{TwoFactorPolicy, TwoFactorPolicyError};
use crate::recovery;
use crate::recovery::imported::IMPORTED;
use crate::recovery::state::RECOVERY_CODES;
use crate::state::{self, FACTORS, Factors};
use crate::step_up::proof::{Attested, Demand, StepUp};
use crate::step_up::steps::StepUps;
use crate::totp::active::{Device, MatchContext};

/// The slots that these steps read. Pass them to the driver to load them together. Step-up reads
/// [`StepUps::slot`] as well.
pub const SLOTS: &[SlotName] =
    &[FACTORS.name(), RECOVERY_CODES.name(), guess::LEDGER.name(), IMPORTED.name(), ATTESTED.name()];

/// The slots that are read to check a time-based code.
pub const TOTP_SLOTS: &[SlotName] = &[FACTORS.name(), guess::LEDGER.name()];

/// The slots that are read to check a recovery code.
pub const RECOVERY_SLOTS: &[SlotName] = &[RECOVERY_CODES.name(), guess::LEDGER.name(), IMPORTED.name()];

/// The operations of this crate as pure steps over a draft, under a policy.
/// [`TwoFactor`](crate::TwoFactor) runs them on a store.
///
/// Adding, replacing or removing a device, making recovery codes and switching mailed codes on or
/// off change what authenticates the account. These steps do not check an authorization: the caller
/// must check one in the same draft. It can be a [`FactorChange`](crate::FactorChange) that [is
/// valid](crate::FactorChange::is_valid_in), a [`Proven`] factor, or the operator's decision.
/// Removing a secret also resets the count of wrong guesses at it, so a mailed code must never
/// authorize a removal.
#[derive(Debug, Clone, Default)]
pub struct TwoFactorSteps {
    pub(crate) policy: TwoFactorPolicy,
    /// Through what these steps enrol factors.
    pub(crate) origin: Origin,
    step_ups: StepUps,
}

/// A kind of code that the guess ledger can lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the codes that this crate judges")]
pub enum CodeKind {
    /// Time-based codes.
    Totp,
    /// Recovery codes.
    Recovery,
}

/// As what a typed code is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeKinds {
    /// As one kind only.
    One(CodeKind),
    /// As either kind, for a form with one field.
    Either,
}

impl CodeKinds {
    /// Whether the code is checked as a recovery code.
    pub(crate) fn has_recovery(self) -> bool {
        self != Self::One(CodeKind::Totp)
    }
}

impl TwoFactorSteps {
    /// Creates the steps under a policy, for a server with this ledger policy
    /// ([`Driver::ledger_policy`]).
    ///
    /// [`Driver::ledger_policy`]: keywright_store::Driver::ledger_policy
    ///
    /// # Errors
    /// Returns [`TwoFactorPolicyError::Guessable`] if the ledger policy does not protect codes with
    /// so few digits.
    pub fn new(policy: TwoFactorPolicy, ledger: &LedgerPolicy) -> Result<Self, TwoFactorPolicyError> {
        policy.check_ledger(ledger)?;
        let step_ups = StepUps::new(policy.step_up.clone());
        Ok(Self { policy, origin: Origin::LIBRARY, step_ups })
    }

    /// Returns the steps of a protocol: factors that they enrol are of this origin, and
    /// [`required_in`](Self::required_in) returns what this protocol requires.
    #[must_use]
    pub fn through(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &TwoFactorPolicy {
        &self.policy
    }

    /// Returns the steps of step-up alone.
    #[must_use]
    pub const fn step_ups(&self) -> &StepUps {
        &self.step_ups
    }

    /// Returns what the account has enrolled.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn enrolled_in(&self, draft: &mut Draft<'_>) -> Result<Enrolled, StepError> {
        let factors = Factors::read(draft)?;
        let live = recovery::step::live(draft)?;
        let context = MatchContext::of_use(draft, &self.policy, "");
        let pending = match &factors.pending {
            Some(pending) => pending.is_live(draft)?,
            None => false,
        };
        Ok(Enrolled {
            devices: factors.devices.iter().map(|device: &Device| device.info(&context, &self.policy)).collect(),
            pending,
            recovery: live.as_ref().map(|live| live.remaining()),
            recovery_form: live.as_ref().map(|live| live.form),
            recovery_origin: live.map(|live| live.origin).unwrap_or_default(),
            email: factors.email,
            email_origin: factors.email_origin,
            attested: AttestedFactors::read(draft)?.infos(),
        })
    }

    /// Returns what these steps require of the account, under the policy's
    /// [`RequiredFactors`](crate::RequiredFactors): nothing, or what is enrolled. Ask this for a
    /// log-in or for an act that changes no factor. For a change of factors ask
    /// [`enrolled_in`](Self::enrolled_in).
    ///
    /// Steps that are not [of a protocol](Self::through) require everything.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn required_in(&self, draft: &mut Draft<'_>) -> Result<Enrolled, StepError> {
        Ok(self.enrolled_in(draft)?.required(self.policy.required, &self.origin))
    }

    /// Switches mailed codes on or off. Returns whether this changed anything. The codes themselves
    /// are confirmations and belong to another crate.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is switched.
    pub fn set_email_in(&self, draft: &mut Draft<'_>, on: bool) -> Result<bool, StepError> {
        let mut factors = Factors::read(draft)?;
        if factors.email == on {
            return Ok(false);
        }
        factors.email = on;
        factors.email_origin = self.origin.clone();
        factors.put(draft)?;
        move_epochs(draft, &self.policy)?;
        draft.event(if on { &events::EMAIL_FACTOR_ON } else { &events::EMAIL_FACTOR_OFF });
        Ok(true)
    }

    /// Checks a code of either kind, for a form with one field. A text with the form of a
    /// time-based code is taken as one; any other is a recovery code or malformed. Where the
    /// account has codes of both kinds with the same form (eight digits, and Rocket.Chat's eight
    /// symbols), a correct code of either kind passes, and a wrong one is charged as a time-based
    /// code. A time-based code that was used before is not tried as a recovery code. While time-based codes are refused, the text is checked as a recovery code only, and
    /// is charged and answered as one.
    ///
    /// The outcome is [`VerifyOutcome::NotEnrolled`] only for an account that has no codes of either
    /// kind, or whose recovery codes are slow hashes that this draft [cannot
    /// compare](Draft::can_compare).
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged and
    /// nothing spent.
    pub fn verify_code_in<'a>(
        &self,
        draft: &mut Draft<'a>,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
        let enrolled = self.enrolled_in(draft)?;
        if !enrolled.is_form_of_totp(code) {
            let verdict = self.verify_recovery_in(draft, code, purpose, client)?;
            // With a device, text that is no code must not look like an account without a factor. Sets
            // of slow hashes stay "not enrolled" where no verifier compares them: they are a factor.
            let malformed = enrolled.has_totp()
                && matches!(verdict, VerifyOutcome::NotEnrolled)
                && draft.read(IMPORTED)?.and_then(|imported| imported.codes).is_none();
            return Ok(if malformed { VerifyOutcome::Malformed } else { verdict });
        }
        let as_totp = |draft: &mut Draft<'a>| self.verify_totp_in(draft, code, purpose, client);
        if !enrolled.is_form_of_recovery(code) {
            return as_totp(draft);
        }
        let totp = draft.judge(as_totp)?;
        let is_replayed = matches!(totp.outcome(), VerifyOutcome::Denied(denial) if denial.charge().is_none());
        if is_replayed || matches!(totp.outcome(), VerifyOutcome::Granted(_)) {
            return draft.stage(totp);
        }
        let recovery = draft.judge(|draft: &mut Draft<'a>| self.verify_recovery_in(draft, code, purpose, client))?;
        // Whatever is checked is charged; otherwise recovery codes could be guessed without a
        // charge while time-based codes are refused.
        let unseen = matches!(totp.outcome(), VerifyOutcome::Refused(_));
        if unseen || matches!(recovery.outcome(), VerifyOutcome::Granted(_)) {
            draft.stage(recovery)
        } else {
            draft.stage(totp)
        }
    }

    /// Checks a code as these kinds.
    pub(crate) fn verify_kinds_in(
        &self,
        draft: &mut Draft<'_>,
        kinds: CodeKinds,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
        match kinds {
            CodeKinds::One(CodeKind::Totp) => self.verify_totp_in(draft, code, purpose, client),
            CodeKinds::One(CodeKind::Recovery) => self.verify_recovery_in(draft, code, purpose, client),
            CodeKinds::Either => self.verify_code_in(draft, code, purpose, client),
        }
    }

    /// Admits a client whose time-based codes are refused because of the wrong codes of others. The
    /// client must have proven another factor in this draft: a recovery code. It is identified by
    /// its credential or else by its network, and has ten attempts in the next hour. Returns
    /// whether it was admitted. It is not admitted if its codes are not refused, if it cannot be
    /// identified, or if three clients were admitted in the last 24 hours.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then no client is admitted.
    /// Returns [`StepError::Misuse`] for a proof of another attempt.
    pub fn admit_totp_in(
        &self,
        draft: &mut Draft<'_>,
        proof: &Tentative<Proven>,
        client: Client,
    ) -> Result<bool, StepError> {
        // Of another attempt it proves nothing here.
        proof.peek(draft)?;
        let (Some(attempt), Some(tag)) = (state::attempt(draft, client)?, client.tag()) else { return Ok(false) };
        if guess::peek_standing(draft, &attempt)?.is_some() {
            return Ok(false);
        }
        let admission = guess::admit_client(draft, attempt.secret, attempt.generation, tag)?;
        Ok(matches!(admission, ClientAdmission::Admitted { .. }))
    }

    /// Lets the client `tag` make ten attempts at a kind of code. This requires a fresh proof from
    /// a session of the account: a step-up for [`ADMIT_CLIENT`](crate::ADMIT_CLIENT) with a
    /// time-based or a recovery code. Returns `None` if the proof does not authorize it, or if the
    /// account has no code of this kind.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then no client is admitted.
    pub fn admit_client_in(
        &self,
        draft: &mut Draft<'_>,
        proof: &StepUp,
        kind: CodeKind,
        tag: ClientTag,
    ) -> Result<Option<ClientAdmission>, StepError> {
        let valid = proof.admits_in(draft, Method::Totp)?;
        // Only the generation of the attempt counts, not its client.
        match attempt(draft, kind, Client::unknown())? {
            Some(attempt) if valid => guess::admit_client(draft, attempt.secret, attempt.generation, tag).map(Some),
            _ => Ok(None),
        }
    }

    /// Lifts the waits and limits of a kind of code for every client. Only the operator may do
    /// this. Returns whether there was anything to lift.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is lifted.
    pub fn unlock_in(&self, draft: &mut Draft<'_>, kind: CodeKind) -> Result<bool, StepError> {
        // Only the generation of the attempt counts, not its client.
        match attempt(draft, kind, Client::unknown())? {
            Some(attempt) => guess::unlock(draft, attempt.secret, attempt.generation),
            None => Ok(false),
        }
    }
}

/// Step-up.
impl TwoFactorSteps {
    /// Returns what an action requires of a session now. See [`StepUps::demand_in`].
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is authorized.
    pub fn demand_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        password: bool,
    ) -> Result<Demand<Tentative<StepUp>>, StepError> {
        self.step_ups.demand_in(draft, action, session, password)
    }

    /// Steps up with a time-based code. If such a code does not authorize the action, the code is
    /// not checked and the outcome is [`VerifyOutcome::NotEnrolled`].
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged,
    /// spent or authorized.
    pub fn step_up_totp_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<Tentative<StepUp>>, StepError> {
        if !self.step_ups.permits_in(draft, action, Method::Totp)? {
            return Ok(VerifyOutcome::NotEnrolled);
        }
        let verdict = self.verify_totp_in(draft, code, &action.clone().into(), client)?;
        self.step_up_by(draft, action, session, verdict)
    }

    /// Steps up with a recovery code, like [`step_up_totp_in`](Self::step_up_totp_in).
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged,
    /// spent or authorized.
    pub fn step_up_recovery_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<Tentative<StepUp>>, StepError> {
        if !self.step_ups.permits_in(draft, action, Method::Recovery)? {
            return Ok(VerifyOutcome::NotEnrolled);
        }
        let verdict = self.verify_recovery_in(draft, code, &action.clone().into(), client)?;
        self.step_up_by(draft, action, session, verdict)
    }

    /// Steps up with a code of either kind, for a form with one field, like
    /// [`verify_code_in`](Self::verify_code_in). A kind that does not authorize the action is not
    /// checked.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged,
    /// spent or authorized.
    pub fn step_up_code_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<Tentative<StepUp>>, StepError> {
        let Some(kinds) = self.step_up_kinds_in(draft, action)? else { return Ok(VerifyOutcome::NotEnrolled) };
        let verdict = self.verify_kinds_in(draft, kinds, code, &action.clone().into(), client)?;
        self.step_up_by(draft, action, session, verdict)
    }

    /// Returns which kinds of codes authorize an action.
    pub(crate) fn step_up_kinds_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
    ) -> Result<Option<CodeKinds>, StepError> {
        let totp = self.step_ups.permits_in(draft, action, Method::Totp)?;
        let recovery = self.step_ups.permits_in(draft, action, Method::Recovery)?;
        Ok(match (totp, recovery) {
            (true, true) => Some(CodeKinds::Either),
            (true, false) => Some(CodeKinds::One(CodeKind::Totp)),
            (false, true) => Some(CodeKinds::One(CodeKind::Recovery)),
            (false, false) => None,
        })
    }

    /// Steps up with what the host has checked. Returns `None` if its method does not authorize the
    /// action. See [`StepUps::attest_in`].
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is authorized.
    pub fn step_up_attested_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        attested: Attested,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        self.step_ups.attest_in(draft, action, session, attested)
    }

    pub(crate) fn step_up_by(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        verdict: VerifyOutcome<Tentative<Proven>>,
    ) -> Result<VerifyOutcome<Tentative<StepUp>>, StepError> {
        Ok(match verdict {
            VerifyOutcome::Granted(proven) => {
                let opened = self.step_ups.grant_in(draft, action, session, proven)?;
                opened.map_or(VerifyOutcome::NotEnrolled, VerifyOutcome::Granted)
            }
            VerifyOutcome::Denied(denial) => VerifyOutcome::Denied(denial),
            VerifyOutcome::Refused(refusal) => VerifyOutcome::Refused(refusal),
            VerifyOutcome::Malformed => VerifyOutcome::Malformed,
            VerifyOutcome::NotEnrolled => VerifyOutcome::NotEnrolled,
        })
    }
}

/// Voids step-ups and pending confirmations, and with them, by default, all logins
/// (`docs/decisions.md` 6). The caller emits an event in the same step.
pub(crate) fn move_epochs(draft: &mut Draft<'_>, policy: &TwoFactorPolicy) -> Result<(), StepError> {
    draft.move_factor_epoch()?;
    if policy.end_other_logins { draft.move_credential_epoch() } else { Ok(()) }
}

/// Returns the tags of the client that makes a change of factors, for guesses at the new secrets.
/// It is known from the start by its credential, and by its network where the change ends
/// credentials (`docs/security.md` § 6).
pub(crate) fn changed_by(policy: &TwoFactorPolicy, client: Client) -> Vec<ClientTag> {
    let network = client.network_tag().filter(|_| policy.end_other_logins);
    // The credential comes last: of two known tags the later one is kept longer.
    let network = network.filter(|network| client.tag() != Some(*network));
    network.into_iter().chain(client.known_tags()).collect()
}

fn attempt(draft: &mut Draft<'_>, kind: CodeKind, client: Client) -> Result<Option<Attempt>, StepError> {
    match kind {
        CodeKind::Totp => state::attempt(draft, client),
        CodeKind::Recovery => recovery::step::attempt(draft, client),
    }
}

//! The step that imports one user.

use keywright_core::{Event, Generation};
use keywright_store::{Draft, StepError, guess};

use super::user::{ImportFault, ImportOutcome, ImportedFactors, ImportedUser};
use crate::events;
use crate::outcome::DeviceFault;
use crate::recovery::imported::{IMPORTED, Imported, ImportedSet, Source};
use crate::recovery::set::CodeSet;
use crate::recovery::state::Recovery;
use crate::state::{Factors, TOTP};
use crate::step::TwoFactorSteps;
use crate::totp::active::Added;

/// The recovery codes of a user in the form in which they are stored.
enum Codes {
    None,
    Made(CodeSet),
    Imported(ImportedSet),
}

/// What will be stored of a user.
struct Plan {
    factors: Factors,
    codes: Codes,
    counts: ImportedFactors,
}

/// Moving in.
impl TwoFactorSteps {
    /// Takes over the second factors of a user of another system, and creates the account if it does
    /// not exist. All of a user is taken over, or nothing. That it was done is recorded, and is not
    /// done again.
    ///
    /// It takes no authorization: only a migration may call it, with what the other system has
    /// verified. Logins stay as they are (`docs/decisions.md` 215).
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is imported.
    pub fn import_user_in(&self, draft: &mut Draft<'_>, user: &ImportedUser) -> Result<ImportOutcome, StepError> {
        let is_new = !draft.exists();
        if !is_new && let Some(outcome) = settled(draft)? {
            return Ok(outcome);
        }
        let plan = match self.plan(draft, user)? {
            Ok(plan) => plan,
            Err(fault) => return Ok(ImportOutcome::NotTaken(fault)),
        };
        if is_new {
            draft.create_account()?;
        }
        self.carry_out(draft, plan)
    }

    /// Returns what [`import_user_in`](Self::import_user_in) would return, and changes nothing.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read.
    pub fn try_import_in(&self, draft: &mut Draft<'_>, user: &ImportedUser) -> Result<ImportOutcome, StepError> {
        if draft.exists()
            && let Some(outcome) = settled(draft)?
        {
            return Ok(outcome);
        }
        Ok(match self.plan(draft, user)? {
            Ok(plan) => ImportOutcome::Imported(plan.counts),
            Err(fault) => ImportOutcome::NotTaken(fault),
        })
    }

    /// Decides what is stored of a user, for an account without factors.
    fn plan(&self, draft: &mut Draft<'_>, user: &ImportedUser) -> Result<Result<Plan, ImportFault>, StepError> {
        // What removed devices have spent stays spent.
        let mut factors = if draft.exists() { Factors::read(draft)? } else { Factors::default() };
        factors.email = user.email;
        factors.email_origin = self.origin.clone();
        let (now, ledger) = (draft.now(), draft.ledger_policy());
        let mut counts = ImportedFactors::default();
        for (index, device) in user.devices.iter().enumerate() {
            let parameters = device.parameters.unwrap_or(self.policy.parameters);
            let fault = self.fault_of_any(draft, device, &parameters).or_else(|| {
                if factors.devices.len() >= self.policy.devices {
                    Some(DeviceFault::TooManyDevices)
                } else if factors.clashes(&device.secret, &parameters) {
                    Some(DeviceFault::OtherParameters)
                } else {
                    None
                }
            });
            if let Some(fault) = fault {
                return Ok(Err(ImportFault::Device { index, fault }));
            }
            let id = factors.new_id(draft)?;
            let added = Added { at: now, origin: self.origin.clone() };
            factors.add(id, device.name.clone(), device.secret.duplicate(), parameters, added, device.next);
            counts.devices = counts.devices.saturating_add(1);
            let below = usize::from(!self.policy.takes(&device.secret));
            counts.devices_below_policy = counts.devices_below_policy.saturating_add(below);
        }
        let codes = match &user.recovery {
            None => Codes::None,
            Some(codes) => match &codes.source {
                Source::Made(set) => Codes::Made(set.duplicate()),
                _ => match ImportedSet::make(draft.entropy(), codes, ledger, now)? {
                    Ok(set) => Codes::Imported(set),
                    Err(fault) => return Ok(Err(fault.into())),
                },
            },
        };
        counts.recovery_codes = match &codes {
            Codes::None => 0,
            Codes::Made(set) => set.remaining().into(),
            Codes::Imported(set) => set.remaining().into(),
        };
        Ok(Ok(Plan { factors, codes, counts }))
    }

    fn carry_out(&self, draft: &mut Draft<'_>, plan: Plan) -> Result<ImportOutcome, StepError> {
        let Plan { mut factors, codes, counts } = plan;
        let has_factors = !factors.is_empty();
        if counts.devices > 0 {
            // The guesses of an earlier device, which its owner has removed, are not counted.
            let next = Generation::random(draft.entropy())?;
            guess::renew(draft, TOTP, factors.generation, next, &[])?;
            factors.generation = next;
        }
        if has_factors {
            factors.put(draft)?;
        }
        let mut imported = Imported { at: draft.now(), codes: None };
        if !matches!(codes, Codes::None) {
            let mut recovery = Recovery::read(draft)?;
            recovery.renew(draft, &[])?;
            recovery.origin = self.origin.clone();
            match codes {
                Codes::Made(set) => recovery.live = Some(set),
                Codes::Imported(set) => imported.codes = Some(set),
                Codes::None => {}
            }
            recovery.put(draft)?;
        }
        draft.put(IMPORTED, &imported)?;
        if has_factors || counts.recovery_codes > 0 {
            // Proofs of the time without factors are void. Logins stay: to their owner, nothing has
            // changed.
            draft.move_factor_epoch()?;
        }
        let event = Event::new(&events::FACTORS_IMPORTED).with("devices", number(counts.devices));
        draft.event(event.with("recovery", number(counts.recovery_codes)));
        Ok(ImportOutcome::Imported(counts))
    }
}

/// Returns the outcome for an account that an import leaves alone.
fn settled(draft: &mut Draft<'_>) -> Result<Option<ImportOutcome>, StepError> {
    if draft.read(IMPORTED)?.is_some() {
        return Ok(Some(ImportOutcome::AlreadyImported));
    }
    if draft.root()?.erased {
        return Ok(Some(ImportOutcome::NotTaken(ImportFault::Erased)));
    }
    let (factors, recovery) = (Factors::read(draft)?, Recovery::read(draft)?);
    let has = !factors.is_empty() || recovery.live.is_some() || recovery.pending.is_some();
    Ok(has.then_some(ImportOutcome::HasFactors))
}

pub(super) fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

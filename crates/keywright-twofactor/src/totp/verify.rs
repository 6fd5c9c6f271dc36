//! Checking time-based codes.

use keywright_core::{Attempt, Client, Event, Purpose, Refusal};
use keywright_store::guess::{self, AttemptOutcome, Comparison, Spent};
use keywright_store::{Draft, StepError, Tentative};

use super::active::MatchContext;
use super::code::TypedCode;
use crate::events;
use crate::outcome::{Denial, Method, Proven, VerifyOutcome};
use crate::policy::DRIFT_SECONDS;
use crate::state::{Factors, Matches, TOTP, attempt};
use crate::step::TwoFactorSteps;

/// Verification of time-based codes.
impl TwoFactorSteps {
    /// Checks a time-based code against all devices and spends it if it is correct.
    ///
    /// `client` is the sender of the code, identified by its credential or its network. If it has
    /// entered a correct code before, the wrong codes of others do not delay it. `purpose` states
    /// what the code is for, and is recorded in the [`Proven`].
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged and
    /// nothing spent.
    pub fn verify_totp_in(
        &self,
        draft: &mut Draft<'_>,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        let mut factors = Factors::read(draft)?;
        if factors.devices.is_empty() {
            return Ok(VerifyOutcome::NotEnrolled);
        }
        // Malformed text is reported at any time, even during a wait, and without reading the
        // account's secrets.
        let Some(typed) = TypedCode::parse(code).filter(|typed| factors.knows_length(typed)) else {
            return Ok(VerifyOutcome::Malformed);
        };
        let context = MatchContext::of_use(draft, &self.policy, purpose.as_str());
        let mut spent = None;
        guess::for_purpose(draft, purpose.as_str());
        let outcome = guess::check_single_use(draft, &Attempt::new(TOTP, factors.generation, client), |draft| {
            let matches = factors.compare(&typed, &context);
            Ok(match (matches.fresh, matches.any) {
                (true, _) => Comparison::Right(matches),
                (false, true) => {
                    if let Some(device) = factors.matching(&matches) {
                        guess::of_device(draft, &device);
                    }
                    spent = Some(matches);
                    Comparison::Replayed(Spent)
                }
                (false, false) => Comparison::Wrong,
            })
        })?;
        Ok(match outcome {
            AttemptOutcome::Right(matches) => {
                factors.advance(&matches, &context);
                factors.put(draft)?;
                let mut event = Event::new(&events::TOTP_ACCEPTED);
                if let Some((device, _)) = matches.by {
                    event = event.with("device", device.to_string().as_str());
                }
                draft.event(event.with("purpose", purpose.as_str()));
                let drift = matches.by.and_then(|(_, drift)| drift);
                let below_policy =
                    matches.by.and_then(|(id, _)| factors.device(id)).is_some_and(|one| one.is_below(&self.policy));
                let proven = Proven::new(account, Method::Totp, purpose.clone(), draft.root()?.epochs());
                let proven = Proven { drift, below_policy, ..proven };
                VerifyOutcome::Granted(draft.tentative(proven))
            }
            AttemptOutcome::Wrong(charge) => {
                tell_out_of_window(draft, &mut factors, &typed, &context)?;
                VerifyOutcome::Denied(Denial { charge: Some(charge) })
            }
            AttemptOutcome::Replayed(Spent) => {
                if let Some(matches) = spent {
                    tell_ran_ahead(draft, &mut factors, &matches, &context)?;
                }
                VerifyOutcome::Denied(Denial { charge: None })
            }
            AttemptOutcome::Refused(refusal) => VerifyOutcome::Refused(refusal),
        })
    }

    /// Returns the refusal that a time-based code would get now. This only reads and changes
    /// nothing. Returns `None` also if the account has no device.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn totp_refusal_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<Option<Refusal>, StepError> {
        match attempt(draft, client)? {
            Some(attempt) => guess::peek_refusal(draft, &attempt),
            None => Ok(None),
        }
    }

    /// Returns the refusal that every time-based code gets now, to be answered before a code is
    /// checked. Unlike [`totp_refusal_in`](Self::totp_refusal_in), it corrects a stored time that
    /// lies in the future, once, after the clock went back.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn totp_refused_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<Option<Refusal>, StepError> {
        match attempt(draft, client)? {
            Some(attempt) => guess::refuse(draft, &attempt),
            None => Ok(None),
        }
    }
}

/// Reports to the owner, at a limited rate, that a code was wrong only in its time.
fn tell_out_of_window(
    draft: &mut Draft<'_>,
    factors: &mut Factors,
    typed: &TypedCode,
    context: &MatchContext,
) -> Result<(), StepError> {
    // The rate is checked first, so a flood of wrong guesses causes no search once the event was
    // emitted.
    if !factors.may_report(context.now, |last| &mut last.out_of_window) {
        return Ok(());
    }
    let Some((device, seconds)) = factors.seconds_off(typed, context, DRIFT_SECONDS) else { return Ok(()) };
    factors.put(draft)?;
    let event = Event::new(&events::TOTP_OUT_OF_WINDOW).with("device", device.to_string().as_str());
    let event = event.with("seconds", seconds.unsigned_abs());
    draft.event(event.with("clock", if seconds < 0 { "behind" } else { "ahead" }));
    Ok(())
}

/// Reports to the owner, at a limited rate, that all codes of a device are refused.
fn tell_ran_ahead(
    draft: &mut Draft<'_>,
    factors: &mut Factors,
    matches: &Matches,
    context: &MatchContext,
) -> Result<(), StepError> {
    let Some((device, until)) = factors.ran_ahead(matches, context) else { return Ok(()) };
    if !factors.may_report(context.now, |last| &mut last.ran_ahead) {
        return Ok(());
    }
    factors.put(draft)?;
    let event = Event::new(&events::TOTP_CLOCK_RAN_AHEAD).with("device", device.to_string().as_str());
    draft.event(event.with("until", until));
    Ok(())
}

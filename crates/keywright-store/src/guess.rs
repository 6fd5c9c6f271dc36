//! Checking a guess at a secret: find out from the [guess ledger](keywright_core::ledger) whether
//! it may be checked, compare it, and record whether it was right. Every crate that checks a secret
//! uses this module, so all of them count wrong guesses in the same way.
//!
//! The driver has one ledger policy for the whole server: [`Draft::ledger_policy`].

use std::convert::Infallible;

use keywright_core::ledger::{ClientAdmission, DenialKind, DenialReport, PendingGuess};
use keywright_core::{
    Admission, AdmittedAttempt, Attempt, Charge, ClientTag, Event, EventKind, Generation, GuessLedger, Refusal,
    SecretKind, SecretName, Severity, UnixSeconds,
};

use crate::draft::Draft;
use crate::locks::Standing;
use crate::step_error::StepError;

pub(crate) mod ledger;

pub use ledger::LEDGER;

/// A guess was denied. Its fields are `secret`, `reason` (`wrong` or `replayed`) and, as far as they
/// are known, `purpose`, `device` (whose code was replayed; a wrong code belongs to none), `client`,
/// and `earlier`: how many such denials were only counted since the last such event. Those may have
/// come from other clients and with other purposes, and an event that only sums up names none.
pub static GUESS_DENIED: EventKind = EventKind::denial("guess_denied", "a guess was denied");
/// Guesses are refused, unchecked, until a moment. Its fields are `secret` and `until`.
pub static GUESSES_PAUSED: EventKind = EventKind::denial("guesses_paused", "guesses are refused for a while");
/// Guesses of unknown clients are refused until somebody admits them. Its field is `secret`.
pub static GUESSES_SHUT: EventKind =
    EventKind::denial("guesses_shut", "guesses of unknown clients are refused until the account is unlocked");
/// Waits and limits were lifted by an explicit act. Its field is `secret`.
pub static GUESSES_UNLOCKED: EventKind =
    EventKind::change("guesses_unlocked", Severity::Notice, "waits and limits of a secret were lifted");
/// One named client was admitted for a few tries. Its fields are `secret` and `until`.
pub static CLIENT_ADMITTED: EventKind =
    EventKind::change("client_admitted", Severity::Notice, "a client was let in for a few tries");

/// What a secret that can be spent has beside other secrets: a guess that matches what was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing but its name")]
pub struct Spent;

/// The result of comparing a guess. Only a secret that can be spent has replays: for any other, `S`
/// has no value, and a `match` needs no arm for [`Replayed`](Self::Replayed).
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the three ways a comparison ends; a new one must be handled everywhere")]
pub enum Comparison<T, S = Infallible> {
    /// The guess is right.
    Right(T),
    /// The guess is wrong, and is charged.
    Wrong,
    /// The guess matches something that was spent already. It is denied but not charged, and is
    /// reported at most once an hour.
    Replayed(S),
}

/// How an attempt ended. `S` is that of the [`Comparison`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the four ways an attempt ends; a new one must be handled everywhere")]
pub enum AttemptOutcome<T, S = Infallible> {
    /// The guess was right. The client is known from now on.
    Right(T),
    /// The guess was wrong and is charged.
    Wrong(Charge),
    /// The guess was spent before. It is not charged.
    Replayed(S),
    /// The guess was not checked.
    Refused(Refusal),
}

impl<T, S> AttemptOutcome<T, S> {
    /// Replaces what a right guess has found.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> AttemptOutcome<U, S> {
        match self {
            Self::Right(value) => AttemptOutcome::Right(f(value)),
            Self::Wrong(charge) => AttemptOutcome::Wrong(charge),
            Self::Replayed(spent) => AttemptOutcome::Replayed(spent),
            Self::Refused(refusal) => AttemptOutcome::Refused(refusal),
        }
    }
}

/// Names the purpose of the guesses that are checked from now on in this draft, for their denials:
/// the purpose of a code, or the name of an action. It must be a constant of the server, and is cut
/// to [`MAX_FIELD_BYTES`](keywright_core::MAX_FIELD_BYTES).
pub fn for_purpose(draft: &mut Draft<'_>, purpose: &str) {
    draft.origin().purpose = Some(purpose.into());
}

/// Names the device to which a replayed guess belongs, by its id, for its denial. Call it while the
/// guess is compared.
pub fn of_device(draft: &mut Draft<'_>, device: &impl std::fmt::Display) {
    draft.origin().device = Some(device.to_string());
}

/// Checks a guess if the ledger admits it, and records the verdict. `compare` must run in constant
/// time and change nothing unless it returns [`Comparison::Right`].
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nothing is charged then.
pub fn check<'a, T>(
    draft: &mut Draft<'a>,
    attempt: &Attempt,
    compare: impl FnOnce(&mut Draft<'a>) -> Result<Comparison<T>, StepError>,
) -> Result<AttemptOutcome<T>, StepError> {
    judge(draft, attempt, true, compare)
}

/// Like [`check`], for a secret that is spent when it is used, so that a guess can be a replay.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nothing is charged then.
pub fn check_single_use<'a, T>(
    draft: &mut Draft<'a>,
    attempt: &Attempt,
    compare: impl FnOnce(&mut Draft<'a>) -> Result<Comparison<T, Spent>, StepError>,
) -> Result<AttemptOutcome<T, Spent>, StepError> {
    judge(draft, attempt, true, compare)
}

/// Like [`check_single_use`], for a guess that was begun before it was compared.
pub(crate) fn check_begun<'a, T>(
    draft: &mut Draft<'a>,
    attempt: &Attempt,
    compare: impl FnOnce(&mut Draft<'a>) -> Result<Comparison<T, Spent>, StepError>,
) -> Result<AttemptOutcome<T, Spent>, StepError> {
    judge(draft, attempt, false, compare)
}

/// Charges a guess that was begun and then withdrawn in this draft, because it was wrong after all.
/// Does nothing if its secret was changed meanwhile.
pub(crate) fn charge_withdrawn(draft: &mut Draft<'_>, pending: &PendingGuess) -> Result<(), StepError> {
    draft.acts_for(pending.admitted().client());
    let mut ledger = read(draft)?;
    match ledger.charge_withdrawn(draft.ledger_policy(), pending, draft.now()) {
        Some(charge) => book_charge(draft, &mut ledger, &charge),
        None => Ok(()),
    }
}

/// `is_new` is whether nothing counts the guess yet.
fn judge<'a, T, S>(
    draft: &mut Draft<'a>,
    attempt: &Attempt,
    is_new: bool,
    compare: impl FnOnce(&mut Draft<'a>) -> Result<Comparison<T, S>, StepError>,
) -> Result<AttemptOutcome<T, S>, StepError> {
    let (mut ledger, admission) = admit(draft, attempt)?;
    let admitted = match admission {
        Admission::Open(admitted) => admitted,
        Admission::Refused(refusal) => return Ok(AttemptOutcome::Refused(refusal)),
    };
    hold(draft, &admitted)?;
    let (policy, now) = (draft.ledger_policy(), draft.now());
    // What the run before a question has found wrong stays wrong, even if time has made it right.
    let is_pending = draft.compares_again(attempt);
    match if is_pending { Comparison::Wrong } else { compare(draft)? } {
        Comparison::Right(value) => {
            // Even if the ledger does not change: a right guess counts only if the ledger is still
            // current.
            draft.grant();
            let forgiven = ledger.forgive(policy, &admitted, now);
            if flush(draft, &mut ledger) || forgiven {
                draft.put(LEDGER, &ledger)?;
            }
            Ok(AttemptOutcome::Right(value))
        }
        Comparison::Wrong => {
            let charge = ledger.charge(policy, &admitted, now);
            if is_new && !is_pending {
                draft.note_wrong(&admitted);
            }
            book_charge(draft, &mut ledger, &charge)?;
            Ok(AttemptOutcome::Wrong(charge))
        }
        Comparison::Replayed(spent) => {
            report_denial(draft, &mut ledger, attempt.secret, DenialKind::Replayed);
            draft.put(LEDGER, &ledger)?;
            Ok(AttemptOutcome::Replayed(spent))
        }
    }
}

/// Records that the **host** is about to check a guess, which may be slow and happens outside of
/// any commit. This belongs in the first of two commits. The number of guesses whose verdict is
/// pending is limited, so that parallel guesses are not limited less than serial ones. A guess for
/// which no verdict is recorded is charged later.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nothing is begun then.
pub fn begin(draft: &mut Draft<'_>, attempt: &Attempt) -> Result<Result<PendingGuess, Refusal>, StepError> {
    let (mut ledger, admission) = admit(draft, attempt)?;
    match admission {
        Admission::Refused(refusal) => Ok(Err(refusal)),
        Admission::Open(admitted) => {
            hold(draft, &admitted)?;
            let pending = ledger.begin(draft.ledger_policy(), &admitted, draft.random()?, draft.now());
            draft.put(LEDGER, &ledger)?;
            Ok(Ok(pending))
        }
    }
}

/// Like [`begin`], for a guess that the ledger has admitted already and that was found wrong.
pub(crate) fn begin_admitted(draft: &mut Draft<'_>, admitted: &AdmittedAttempt) -> Result<PendingGuess, StepError> {
    let mut ledger = read(draft)?;
    let pending = ledger.begin(draft.ledger_policy(), admitted, draft.random()?, draft.now());
    draft.put(LEDGER, &ledger)?;
    Ok(pending)
}

/// Records the host's verdict "wrong", in the second commit. Returns `None` if the attempt was
/// charged already, or its secret is gone.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. The attempt then stays unjudged, and is charged
/// when its time is over.
pub fn settle_wrong(draft: &mut Draft<'_>, pending: &PendingGuess) -> Result<Option<Charge>, StepError> {
    draft.acts_for(pending.admitted().client());
    let mut ledger = read(draft)?;
    let charge = ledger.settle_wrong(draft.ledger_policy(), pending, draft.now());
    if let Some(charge) = &charge {
        book_charge(draft, &mut ledger, charge)?;
    }
    Ok(charge)
}

/// Records the host's verdict "right", in the commit that grants. Returns whether it still counts.
/// `false` means that the attempt was charged because its time was over, or that the secret was
/// changed since it was begun. **Grant nothing then.**
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. The attempt then stays unjudged, and is charged
/// when its time is over.
#[must_use = "a verdict that came too late grants nothing"]
pub fn settle_right(draft: &mut Draft<'_>, pending: &PendingGuess) -> Result<bool, StepError> {
    draft.acts_for(pending.admitted().client());
    let mut ledger = read(draft)?;
    let counts = ledger.settle_right(draft.ledger_policy(), pending, draft.now());
    if counts {
        draft.grant();
        flush(draft, &mut ledger);
        draft.put(LEDGER, &ledger)?;
    }
    Ok(counts)
}

/// Withdraws a guess that the host has **not checked**, because it is busy. The guess is not
/// charged. Returns whether there was anything to withdraw: `false` means that it was charged
/// because its time was over, or that its secret is gone.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. The attempt then stays unjudged, and is charged
/// when its time is over.
pub fn withdraw(draft: &mut Draft<'_>, pending: &PendingGuess) -> Result<bool, StepError> {
    let mut ledger = read(draft)?;
    let withdrawn = ledger.withdraw(draft.ledger_policy(), pending, draft.now());
    if withdrawn {
        draft.put(LEDGER, &ledger)?;
    }
    Ok(withdrawn)
}

/// Returns whether the client of a guess waits in a queue among the known clients, which come
/// first, or among the unknown ones.
#[must_use]
pub const fn standing(admitted: &AdmittedAttempt) -> Standing {
    if admitted.is_known() || admitted.is_admitted() { Standing::Known } else { Standing::Unknown }
}

/// Returns the refusal that a guess would get now. This is a read that changes nothing. A refusal
/// counts in the metrics as one that was answered; to find out only whether there is one, use
/// [`peek_standing`].
///
/// # Errors
/// Returns [`StepError`] if the ledger cannot be read. The caller must deny then.
pub fn peek_refusal(draft: &mut Draft<'_>, attempt: &Attempt) -> Result<Option<Refusal>, StepError> {
    let refusal = read(draft)?.peek(draft.ledger_policy(), attempt, draft.now());
    if refusal.is_some() {
        draft.note_refusal();
    }
    Ok(refusal)
}

/// Returns the standing that a guess would be admitted with now, or `None` if it would be refused.
/// This is a read that changes nothing: a host can turn a guess away by it before anything is
/// committed. The metrics count no refusal.
///
/// # Errors
/// Returns [`StepError`] if the ledger cannot be read. The caller must deny then.
pub fn peek_standing(draft: &mut Draft<'_>, attempt: &Attempt) -> Result<Option<Standing>, StepError> {
    let admission = read(draft)?.admit(draft.ledger_policy(), attempt, draft.now());
    Ok(match admission {
        Admission::Open(admitted) => Some(standing(&admitted)),
        Admission::Refused(_) => None,
    })
}

/// Returns the refusal that a guess would get now, so that a request can be refused before its
/// guess is checked. Unlike [`peek_refusal`], this also corrects and stores a time that lies too
/// far in the future because the clock went back, so that a wait ends when it was reported to end.
///
/// # Errors
/// Returns [`StepError`] if the ledger cannot be read. The caller must deny then.
pub fn refuse(draft: &mut Draft<'_>, attempt: &Attempt) -> Result<Option<Refusal>, StepError> {
    Ok(match admit(draft, attempt)?.1 {
        Admission::Open(_) => None,
        Admission::Refused(refusal) => Some(refusal),
    })
}

/// Records that a secret was changed. The counts of its guesses start over, its known clients stay
/// known, and those that made the change are known from the start. Call it in the commit that
/// stores the new secret.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nothing is recorded then.
pub fn renew(
    draft: &mut Draft<'_>,
    secret: SecretKind,
    from: Generation,
    to: Generation,
    changed_by: &[ClientTag],
) -> Result<(), StepError> {
    let mut ledger = read(draft)?;
    ledger.renew(draft.ledger_policy(), secret, from, to, changed_by, draft.now());
    draft.put(LEDGER, &ledger)
}

/// Replaces the tag of an attempt's client, in the commit that replaces the credential which
/// identified it. Everything that the ledger knows about the client is kept. Call it only for a
/// request that the old credential has authenticated.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. The client then keeps its old tag.
pub fn rename_client(draft: &mut Draft<'_>, attempt: &Attempt, to: ClientTag) -> Result<(), StepError> {
    let mut ledger = read(draft)?;
    let renamed = ledger.rename_client(draft.ledger_policy(), attempt, to, draft.now());
    if renamed { draft.put(LEDGER, &ledger) } else { Ok(()) }
}

/// Removes a secret's entry, because the secret is gone.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nothing is removed then.
pub fn forget(draft: &mut Draft<'_>, secret: SecretKind) -> Result<(), StepError> {
    let mut ledger = read(draft)?;
    if ledger.forget(secret) { draft.put(LEDGER, &ledger) } else { Ok(()) }
}

/// Clears the waits, streaks and levels of a secret. Returns whether there was anything to clear.
///
/// Call it only for an explicit act that the caller has proven: an act of the operator, or of a
/// session of the account with a fresh proof of the same or a stronger factor.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nothing is lifted then.
pub fn unlock(draft: &mut Draft<'_>, secret: SecretKind, generation: Generation) -> Result<bool, StepError> {
    let mut ledger = read(draft)?;
    let lifted = ledger.unlock(draft.ledger_policy(), secret, generation, draft.now());
    if lifted {
        draft.put(LEDGER, &ledger)?;
        draft.event(Event::new(&GUESSES_UNLOCKED).with("secret", secret.name()));
    }
    Ok(lifted)
}

/// Clears the waits, streaks and levels of every secret of the account. Only an operator may do
/// this. Returns the secrets for which there was anything to clear.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nothing is lifted then.
pub fn unlock_all(draft: &mut Draft<'_>) -> Result<Vec<SecretName>, StepError> {
    let mut ledger = read(draft)?;
    let lifted = ledger.unlock_all(draft.ledger_policy(), draft.now());
    if !lifted.is_empty() {
        draft.put(LEDGER, &ledger)?;
    }
    for secret in &lifted {
        draft.event(Event::new(&GUESSES_UNLOCKED).with("secret", secret.as_str()));
    }
    Ok(lifted)
}

/// Admits one named client: ten tries in an hour, at most three times a day per account. Call it
/// after a click in a mail, for a session with a fresh proof, and, for TOTP, also after a recovery
/// code.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nobody is admitted then.
pub fn admit_client(
    draft: &mut Draft<'_>,
    secret: SecretKind,
    generation: Generation,
    tag: ClientTag,
) -> Result<ClientAdmission, StepError> {
    let mut ledger = read(draft)?;
    let (policy, now) = (draft.ledger_policy(), draft.now());
    let mut settled = ledger.clone();
    let went_back = settled.settle(policy, now);
    let admission = ledger.admit_client(policy, secret, generation, tag, now);
    match &admission {
        ClientAdmission::Admitted { until } => {
            let until = *until;
            draft.put(LEDGER, &ledger)?;
            draft.event(Event::new(&CLIENT_ADMITTED).with("secret", secret.name()).with("until", until));
        }
        // A refusal writes nothing, except for a moment too far in the future, which is clamped
        // once.
        ClientAdmission::TooMany { .. } if went_back => draft.put(LEDGER, &settled)?,
        ClientAdmission::TooMany { .. } => {}
    }
    Ok(admission)
}

/// What the link of an unlock mail carries, and for how long it works.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailTicket {
    /// The ticket that [`unlock_mail_clicked`] requires. Only the link may reveal it.
    pub ticket: [u8; 16],
    /// The moment at which the link expires and the next mail may be sent. Keep the mail due until
    /// then ([`NewTask::until`](crate::due::NewTask::until)). If its task is dropped earlier, the
    /// owner gets no mail for the rest of the pause.
    pub until: UnixSeconds,
}

keywright_core::redacted_debug!(MailTicket { until, .. });

/// Returns what the link of an unlock mail must contain, if the owner should get such a mail now
/// because somebody else has locked out unknown clients. The caller must record the mail as due
/// work ([`crate::due::add`]) in the same draft. Returns `None` if no mail may be sent now.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. No mail is sent then.
pub fn unlock_mail(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
) -> Result<Option<MailTicket>, StepError> {
    let mut ledger = read(draft)?;
    let (policy, now) = (draft.ledger_policy(), draft.now());
    if !ledger.unlock_mail_due(policy, attempt, refusal, now) {
        return Ok(None);
    }
    let ticket = draft.random()?;
    let until = ledger.unlock_mail_sent(policy, attempt, ticket, now);
    draft.put(LEDGER, &ledger)?;
    Ok(Some(MailTicket { ticket, until }))
}

/// Admits a client by the link of an unlock mail. Returns `None` if the link has expired or was
/// never sent.
///
/// # Errors
/// Returns [`StepError`] if the step cannot decide. Nobody is admitted then.
pub fn unlock_mail_clicked(
    draft: &mut Draft<'_>,
    secret: SecretKind,
    generation: Generation,
    ticket: [u8; 16],
    tag: ClientTag,
) -> Result<Option<ClientAdmission>, StepError> {
    let mut settled = read(draft)?;
    let went_back = settled.settle(draft.ledger_policy(), draft.now());
    let judged = draft.judge(|draft| {
        let mut ledger = read(draft)?;
        if !ledger.unlock_mail_clicked(draft.ledger_policy(), secret, generation, ticket, draft.now()) {
            return Ok(None);
        }
        draft.put(LEDGER, &ledger)?;
        admit_client(draft, secret, generation, tag).map(Some)
    })?;
    match judged.outcome() {
        // If the account has used up its admissions for now, the click is not used up.
        Some(refused @ ClientAdmission::TooMany { .. }) => {
            let refused = *refused;
            if went_back {
                draft.put(LEDGER, &settled)?;
            }
            Ok(Some(refused))
        }
        _ => draft.stage(judged),
    }
}

fn read(draft: &mut Draft<'_>) -> Result<GuessLedger, StepError> {
    Ok(draft.read(LEDGER)?.unwrap_or_default())
}

fn admit(draft: &mut Draft<'_>, attempt: &Attempt) -> Result<(GuessLedger, Admission), StepError> {
    draft.acts_for(attempt.client);
    let mut ledger = read(draft)?;
    let admission = ledger.admit(draft.ledger_policy(), attempt, draft.now());
    if let Admission::Refused(refusal) = &admission {
        draft.note_refusal();
        // A refusal writes nothing, except for a moment too far in the future, which is clamped
        // once.
        if refusal.changed() {
            draft.put(LEDGER, &ledger)?;
        }
    }
    Ok((ledger, admission))
}

/// Requires that nobody else commits to the account while the guess is compared.
fn hold(draft: &mut Draft<'_>, admitted: &AdmittedAttempt) -> Result<(), StepError> {
    draft.admit_guess(standing(admitted))
}

/// Emits the denials that were only counted and whose hour is over. Returns whether there were any,
/// in which case the ledger must be put.
fn flush(draft: &mut Draft<'_>, ledger: &mut GuessLedger) -> bool {
    let unreported = ledger.take_unreported(draft.now());
    for kind in &unreported {
        draft.event_of_many(denied(kind.secret.as_str(), kind.what, kind.times));
    }
    !unreported.is_empty()
}

fn book_charge(draft: &mut Draft<'_>, ledger: &mut GuessLedger, charge: &Charge) -> Result<(), StepError> {
    let secret = charge.admitted().secret();
    report_denial(draft, ledger, secret, DenialKind::Wrong);
    flush(draft, ledger);
    draft.put(LEDGER, ledger)?;
    if charge.locked() {
        draft.event(Event::new(&GUESSES_SHUT).with("secret", secret.name()));
    } else if let Some(until) = charge.paused_until() {
        draft.event(Event::new(&GUESSES_PAUSED).with("secret", secret.name()).with("until", until));
    }
    Ok(())
}

/// Emits a denial, unless a similar one was reported within the hour, in which case it is only
/// counted.
fn report_denial(draft: &mut Draft<'_>, ledger: &mut GuessLedger, secret: SecretKind, kind: DenialKind) {
    let device = draft.origin().device.take();
    if let DenialReport::Now { earlier } = ledger.report_denial(secret, kind, draft.now()) {
        let mut event = denied(secret.name(), kind, earlier);
        if let Some(purpose) = &draft.origin().purpose {
            event = event.with("purpose", purpose.clone());
        }
        if let Some(device) = device {
            event = event.with("device", device.as_str());
        }
        draft.event(event);
    }
}

fn denied(secret: &str, kind: DenialKind, earlier: u32) -> Event {
    let reason = if kind == DenialKind::Replayed { "replayed" } else { "wrong" };
    let event = Event::new(&GUESS_DENIED).with("secret", secret).with("reason", reason);
    if earlier == 0 { event } else { event.with("earlier", earlier) }
}

//! Judging a guess: admit, compare, then charge or forgive, in one draft. Every crate that checks a secret goes through
//! here, so no secret is charged in two ways.
//!
//! The ledger's policy is the driver's, one for the whole server: [`Draft::ledger_policy`].

use keywright_core::ledger::{ClientAdmission, PendingGuess, Tell, Told};
use keywright_core::{
    Admission, AdmittedAttempt, Attempt, Charge, ClientTag, Event, EventKind, Generation, GuessLedger, Refusal,
    SecretKind, SecretName, Severity, UnixSeconds,
};

use crate::draft::Draft;
use crate::locks::Standing;
use crate::step_error::StepError;

pub(crate) mod ledger;

pub use ledger::LEDGER;

/// A guess was denied. Fields: `secret`, `reason` (`wrong` or `replayed`), `earlier`: how many alike were counted since
/// the last such event without being told.
pub static GUESS_DENIED: EventKind = EventKind::denial("guess_denied", "a guess was denied");
/// Guesses are refused, unseen, until a moment. Fields: `secret`, `until`.
pub static GUESSES_PAUSED: EventKind = EventKind::denial("guesses_paused", "guesses are refused for a while");
/// Guesses of unknown clients are refused until somebody lets them in. Field: `secret`.
pub static GUESSES_SHUT: EventKind =
    EventKind::denial("guesses_shut", "guesses of unknown clients are refused until the account is unlocked");
/// Waits and limits were lifted by an explicit act. Field: `secret`.
pub static GUESSES_UNLOCKED: EventKind =
    EventKind::change("guesses_unlocked", Severity::Notice, "waits and limits of a secret were lifted");
/// One named client was let in for a few tries. Fields: `secret`, `until`.
pub static CLIENT_ADMITTED: EventKind =
    EventKind::change("client_admitted", Severity::Notice, "a client was let in for a few tries");

/// What comparing a guess has found.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the three ways a comparison ends; a new one must be handled everywhere")]
pub enum Comparison<T> {
    /// It is right.
    Right(T),
    /// It is wrong: charged.
    Wrong,
    /// It matches something already spent: denied, not charged, told at most once an hour.
    Replayed,
}

/// How an attempt ended.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the four ways an attempt ends; a new one must be handled everywhere")]
pub enum AttemptOutcome<T> {
    /// The guess was right; the client is known from now on.
    Right(T),
    /// It was wrong and is charged.
    Wrong(Charge),
    /// It was spent before; not charged.
    Replayed,
    /// It was not looked at.
    Refused(Refusal),
}

/// Looks at a guess if the ledger admits it, and books the verdict. `compare` must run in constant time and change nothing
/// unless it returns [`Comparison::Right`].
///
/// # Errors
/// [`StepError`]: nothing is charged.
pub fn check<'a, T>(
    draft: &mut Draft<'a>,
    attempt: &Attempt,
    compare: impl FnOnce(&mut Draft<'a>) -> Result<Comparison<T>, StepError>,
) -> Result<AttemptOutcome<T>, StepError> {
    let (mut ledger, admission) = admit(draft, attempt)?;
    let admitted = match admission {
        Admission::Open(admitted) => admitted,
        Admission::Refused(refusal) => return Ok(AttemptOutcome::Refused(refusal)),
    };
    hold(draft, &admitted)?;
    let (policy, now) = (draft.ledger_policy(), draft.now());
    match compare(draft)? {
        Comparison::Right(value) => {
            // Also where the ledger stays as it is: a right guess counts only on a ledger that still stands.
            draft.grant();
            let forgiven = ledger.forgive(policy, &admitted, now);
            if flush(draft, &mut ledger) || forgiven {
                draft.put(LEDGER, &ledger)?;
            }
            Ok(AttemptOutcome::Right(value))
        }
        Comparison::Wrong => {
            let charge = ledger.charge(policy, &admitted, now);
            book_charge(draft, &mut ledger, &charge)?;
            Ok(AttemptOutcome::Wrong(charge))
        }
        Comparison::Replayed => {
            tell(draft, &mut ledger, attempt.secret, Told::Replayed);
            draft.put(LEDGER, &ledger)?;
            Ok(AttemptOutcome::Replayed)
        }
    }
}

/// Begins an attempt at a secret that the **host** will judge, slowly and outside of any commit: the first of two commits.
/// Attempts that are not judged yet are counted, so that parallel guesses cannot outrun the limit; one whose verdict never
/// comes is charged.
///
/// # Errors
/// [`StepError`]: nothing is begun.
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

/// Books the host's verdict "wrong": the second commit. `None` if the attempt was charged already, or its secret is gone.
///
/// # Errors
/// [`StepError`]: the attempt stays unjudged, and is charged in time.
pub fn settle_wrong(draft: &mut Draft<'_>, pending: &PendingGuess) -> Result<Option<Charge>, StepError> {
    let mut ledger = read(draft)?;
    let charge = ledger.settle_wrong(draft.ledger_policy(), pending, draft.now());
    if let Some(charge) = &charge {
        book_charge(draft, &mut ledger, charge)?;
    }
    Ok(charge)
}

/// Books the host's verdict "right", in the commit that grants. Returns whether it still counts: `false` means that the
/// attempt was charged in time, or that the secret was changed since it was begun. **Grant nothing then.**
///
/// # Errors
/// [`StepError`]: the attempt stays unjudged, and is charged in time.
#[must_use = "a verdict that came too late grants nothing"]
pub fn settle_right(draft: &mut Draft<'_>, pending: &PendingGuess) -> Result<bool, StepError> {
    let mut ledger = read(draft)?;
    let counts = ledger.settle_right(draft.ledger_policy(), pending, draft.now());
    if counts {
        draft.grant();
        flush(draft, &mut ledger);
        draft.put(LEDGER, &ledger)?;
    }
    Ok(counts)
}

/// Takes a guess back that the host has **not looked at**, because it is busy: it is not charged. Returns whether there was
/// anything to take back: `false` means that it was charged in time, or that its secret is gone.
///
/// # Errors
/// [`StepError`]: the attempt stays unjudged, and is charged in time.
pub fn withdraw(draft: &mut Draft<'_>, pending: &PendingGuess) -> Result<bool, StepError> {
    let mut ledger = read(draft)?;
    let withdrawn = ledger.withdraw(draft.ledger_policy(), pending, draft.now());
    if withdrawn {
        draft.put(LEDGER, &ledger)?;
    }
    Ok(withdrawn)
}

/// How the client of a guess stands in a queue: known ones come first.
#[must_use]
pub const fn standing(admitted: &AdmittedAttempt) -> Standing {
    if admitted.is_known() || admitted.is_admitted() { Standing::Known } else { Standing::Unknown }
}

/// What a guess would be refused with now, by a mere look that changes nothing.
///
/// # Errors
/// [`StepError`]; the caller denies.
pub fn peek_refusal(draft: &mut Draft<'_>, attempt: &Attempt) -> Result<Option<Refusal>, StepError> {
    Ok(read(draft)?.peek(draft.ledger_policy(), attempt, draft.now()))
}

/// What every guess is refused with now, to be answered before one is looked at. Unlike [`peek_refusal`] it settles a
/// moment from the future, once: a wait that was told after the clock went back ends when it was said to.
///
/// # Errors
/// [`StepError`]; the caller denies.
pub fn refuse(draft: &mut Draft<'_>, attempt: &Attempt) -> Result<Option<Refusal>, StepError> {
    Ok(match admit(draft, attempt)?.1 {
        Admission::Open(_) => None,
        Admission::Refused(refusal) => Some(refusal),
    })
}

/// Notes that a secret was changed: its guesses start anew, its known clients stay known, and those who made the change
/// are known from the start. Call it in the commit that stores the new secret.
///
/// # Errors
/// [`StepError`]: nothing is noted.
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

/// Gives the client of an attempt another tag, in the commit that replaces the credential which named it: whatever the
/// ledger knows of it goes on. Only for a request that the old credential has authenticated.
///
/// # Errors
/// [`StepError`]: it keeps its old tag.
pub fn rename_client(draft: &mut Draft<'_>, attempt: &Attempt, to: ClientTag) -> Result<(), StepError> {
    let mut ledger = read(draft)?;
    let renamed = ledger.rename_client(draft.ledger_policy(), attempt, to, draft.now());
    if renamed { draft.put(LEDGER, &ledger) } else { Ok(()) }
}

/// Drops a secret's entry, because the secret is gone.
///
/// # Errors
/// [`StepError`]: nothing is dropped.
pub fn forget(draft: &mut Draft<'_>, secret: SecretKind) -> Result<(), StepError> {
    let mut ledger = read(draft)?;
    if ledger.forget(secret) { draft.put(LEDGER, &ledger) } else { Ok(()) }
}

/// Lifts waits, streaks and levels of a secret. Only by an explicit act that the caller has proven: of the operator, or of
/// a session of the account with a fresh proof of the same or a stronger factor. Returns whether there was anything to
/// lift.
///
/// # Errors
/// [`StepError`]: nothing is lifted.
pub fn unlock(draft: &mut Draft<'_>, secret: SecretKind, generation: Generation) -> Result<bool, StepError> {
    let mut ledger = read(draft)?;
    let lifted = ledger.unlock(draft.ledger_policy(), secret, generation, draft.now());
    if lifted {
        draft.put(LEDGER, &ledger)?;
        draft.event(Event::new(&GUESSES_UNLOCKED).with("secret", secret.name()));
    }
    Ok(lifted)
}

/// Lifts waits, streaks and levels of every secret of the account: an operator's act. Returns those of which there was
/// anything to lift.
///
/// # Errors
/// [`StepError`]: nothing is lifted.
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

/// Lets one named client in: ten tries in an hour, at most three times a day and account. By a click in a mail, by a session
/// with a fresh proof, for TOTP also by a recovery code.
///
/// # Errors
/// [`StepError`]: nobody is let in.
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
        // A refusal writes nothing, but for a moment from the future that is settled once.
        ClientAdmission::TooMany { .. } if went_back => draft.put(LEDGER, &settled)?,
        ClientAdmission::TooMany { .. } => {}
    }
    Ok(admission)
}

/// What an unlock mail's link carries, and for how long it works.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailTicket {
    /// What [`unlock_mail_clicked`] takes: only the link may reveal it.
    pub ticket: [u8; 16],
    /// The end of the link, when the next mail may go. Keep the mail due until then
    /// ([`NewTask::until`](crate::due::NewTask::until)): one that is dropped earlier would be missed for the rest of the
    /// pause.
    pub until: UnixSeconds,
}

keywright_core::redacted_debug!(MailTicket { until, .. });

/// Whether the owner is to be told by mail that somebody shuts out new clients: `Some`, with what the mail's link carries,
/// if a mail may go now. The same commit must make the mail due ([`crate::due::add`]).
///
/// # Errors
/// [`StepError`]: no mail.
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

/// Lets a client in by the link of an unlock mail: `None` if the link's time is over or it was never sent.
///
/// # Errors
/// [`StepError`]: nobody is let in.
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
        // The click is not used up by an account that has had its admissions for now.
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
    let mut ledger = read(draft)?;
    let admission = ledger.admit(draft.ledger_policy(), attempt, draft.now());
    // A refusal writes nothing, but for a moment from the future that is settled once.
    if let Admission::Refused(refusal) = &admission
        && refusal.changed()
    {
        draft.put(LEDGER, &ledger)?;
    }
    Ok((ledger, admission))
}

/// Sees that nobody else commits to the account while the guess is compared. Known clients come first.
fn hold(draft: &mut Draft<'_>, admitted: &AdmittedAttempt) -> Result<(), StepError> {
    draft.admit_guess(standing(admitted))
}

/// Tells the denials that were only counted and whose hour is over. Returns whether there were any: then the ledger must
/// be put.
fn flush(draft: &mut Draft<'_>, ledger: &mut GuessLedger) -> bool {
    let untold = ledger.take_untold(draft.now());
    for told in &untold {
        draft.event(denied(told.secret.as_str(), told.what, told.times));
    }
    !untold.is_empty()
}

fn book_charge(draft: &mut Draft<'_>, ledger: &mut GuessLedger, charge: &Charge) -> Result<(), StepError> {
    let secret = charge.admitted().secret();
    tell(draft, ledger, secret, Told::Wrong);
    flush(draft, ledger);
    draft.put(LEDGER, ledger)?;
    if charge.locked() {
        draft.event(Event::new(&GUESSES_SHUT).with("secret", secret.name()));
    } else if let Some(until) = charge.paused_until() {
        draft.event(Event::new(&GUESSES_PAUSED).with("secret", secret.name()).with("until", until));
    }
    Ok(())
}

/// Tells a denial, unless one like it was told within the hour; then it is only counted.
fn tell(draft: &mut Draft<'_>, ledger: &mut GuessLedger, secret: SecretKind, told: Told) {
    if let Tell::Now { earlier } = ledger.tell(secret, told, draft.now()) {
        draft.event(denied(secret.name(), told, earlier));
    }
}

fn denied(secret: &str, told: Told, earlier: u32) -> Event {
    let reason = if told == Told::Replayed { "replayed" } else { "wrong" };
    let event = Event::new(&GUESS_DENIED).with("secret", secret).with("reason", reason);
    if earlier == 0 { event } else { event.with("earlier", earlier) }
}

//! The ledger itself, which admits, charges and forgives guesses for each secret.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::mail::UnlockMail;
use super::outcome::Ticket;
use super::place::Place;
use super::policy::{ADMISSION_DAY, MAIL_WAIT, MAX_ADMISSIONS};
use crate::ledger::client::{Attempt, ClientTag};
use crate::ledger::outcome::{
    Admission, AdmittedAttempt, Charge, ClientAdmission, DenialKind, DenialReport, LockoutSummary, PendingGuess,
    Refusal, UnreportedDenials,
};
use crate::ledger::policy::LedgerPolicy;
use crate::ledger::secret::{Generation, SecretKind, SecretName};
use crate::time::UnixSeconds;

/// The wrong guesses of one account, for each secret.
///
/// It takes about 200 bytes for a secret with five known clients, and is meant to be stored as a
/// whole.
///
/// The stored form is treated as hostile input. The decoder returns an error for more than
/// [`MAX_SECRETS`](super::MAX_SECRETS) secrets, five known clients or three admitted ones, for a
/// repeated name or tag, for too many unjudged guesses, and for a time beyond the year 9999. Any
/// numbers within these bounds are safe. No secret is evicted to make room for another; a ledger
/// with too many secrets does not serialize.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuessLedger {
    pub(super) entries: BTreeMap<SecretName, Entry>,
    /// When the most recent clients were admitted, for any secret.
    pub(super) admissions: Vec<UnixSeconds>,
}

/// Guesses that are checked in one step.
impl GuessLedger {
    /// Decides whether a guess may be checked. Call this **before** checking it.
    ///
    /// An open admission changes nothing. A refusal changes nothing either, with one exception: if
    /// the clock went back, moments that lie too far in the future are clamped.
    /// [`Refusal::changed`] reports that, and only then does the ledger have to be stored.
    pub fn admit(&mut self, policy: &LedgerPolicy, attempt: &Attempt, now: UnixSeconds) -> Admission {
        match self.judge(policy, attempt, now) {
            Ok(admitted) => Admission::Open(admitted),
            Err(mut refusal) => {
                refusal.changed = self.settle(policy, now);
                Admission::Refused(refusal)
            }
        }
    }

    /// Returns the refusal that [`admit`](Self::admit) would return at this moment, and changes
    /// nothing.
    ///
    /// It is meant for a request that reports a wait without making a guess, and for a check before
    /// a lock on the account is taken. If [`Refusal::changed`] is set, call `admit` to apply the
    /// change.
    #[must_use]
    pub fn peek(&self, policy: &LedgerPolicy, attempt: &Attempt, now: UnixSeconds) -> Option<Refusal> {
        let mut refusal = self.judge(policy, attempt, now).err()?;
        refusal.changed = self.clone().settle(policy, now);
        Some(refusal)
    }

    /// Whether the client of an attempt is a known one.
    #[must_use]
    pub fn is_known(&self, policy: &LedgerPolicy, attempt: &Attempt) -> bool {
        self.entry(attempt.secret, attempt.generation).is_some_and(|entry| {
            let surplus = entry.known.len().saturating_sub(policy.known_clients);
            entry.known.iter().skip(surplus).any(|known| attempt.client.tag() == Some(known.tag))
        })
    }

    /// Returns the tag of the client of an attempt if the ledger counts its guesses separately,
    /// because it is a known or an admitted client. Returns `None` for a client whose guesses are
    /// counted together with those of all unknown clients.
    #[must_use]
    pub fn own_place(&self, policy: &LedgerPolicy, attempt: &Attempt, now: UnixSeconds) -> Option<ClientTag> {
        let mut entry = self.entry(attempt.secret, attempt.generation)?.clone();
        entry.catch_up(policy, now);
        entry.own_place(attempt.client)
    }

    /// Replaces the tag of a client, because the credential that identified it was replaced by a
    /// new one (a session's id that changed, for example). Everything that the ledger knows and has
    /// counted about the client is kept. Returns whether the ledger has to be stored.
    ///
    /// Call this only in the commit that replaces the credential, for a request that the old
    /// credential has authenticated.
    pub fn rename_client(&mut self, policy: &LedgerPolicy, attempt: &Attempt, to: ClientTag, now: UnixSeconds) -> bool {
        let Some(from) = attempt.client.tag() else { return false };
        if !self.entry(attempt.secret, attempt.generation).is_some_and(|entry| entry.has(from)) {
            return false;
        }
        self.change(policy, attempt.secret, attempt.generation, now, |entry| entry.rename(from, to))
    }

    /// Counts a wrong guess.
    ///
    /// Malformed input, replays, the *new* secret of a change and the code that completes an
    /// enrolment are not guesses and are not charged. `admitted` is the attempt that
    /// [`admit`](Self::admit) returned in this same step.
    pub fn charge(&mut self, policy: &LedgerPolicy, admitted: &AdmittedAttempt, now: UnixSeconds) -> Charge {
        let entry = self.open(policy, admitted.secret(), admitted.generation(), now);
        let streak = entry.charge(policy, admitted.place, now);
        charged(policy, entry, admitted, streak, now)
    }

    /// Records a right guess. The client becomes known under its [tags](super::Client::known_tags)
    /// and its streak ends; the level stays. Returns whether the ledger has to be stored.
    pub fn forgive(&mut self, policy: &LedgerPolicy, admitted: &AdmittedAttempt, now: UnixSeconds) -> bool {
        self.change(policy, admitted.secret(), admitted.generation(), now, |entry| {
            entry.forgive(policy, admitted.client(), now)
        })
    }
}

/// Guesses that the host judges.
impl GuessLedger {
    /// Records a guess that the host is about to judge. Commit this, ask the host without holding a
    /// lock on the account, and settle the guess in a second commit.
    ///
    /// `id` is drawn at random for each guess. If an unjudged guess has the same id, that one is
    /// charged.
    pub fn begin(
        &mut self,
        policy: &LedgerPolicy,
        admitted: &AdmittedAttempt,
        id: [u8; 8],
        now: UnixSeconds,
    ) -> PendingGuess {
        self.open(policy, admitted.secret(), admitted.generation(), now).begin(policy, admitted.place, id, now);
        PendingGuess { admitted: *admitted, id }
    }

    /// Counts a guess that the host found wrong. Returns `None` if nothing is counted. This happens
    /// if the guess was charged already (its verdict came too late, or another client replaced its
    /// client as a known one), or if the secret was changed in the meantime.
    pub fn settle_wrong(&mut self, policy: &LedgerPolicy, guess: &PendingGuess, now: UnixSeconds) -> Option<Charge> {
        let admitted = guess.admitted();
        self.entry(admitted.secret(), admitted.generation())?;
        let entry = self.open(policy, admitted.secret(), admitted.generation(), now);
        let pending = entry.take_pending(guess.id)?;
        if pending.place == Place::Counted {
            return None;
        }
        let streak = entry.charge(policy, pending.place, now);
        Some(charged(policy, entry, admitted, streak, now))
    }

    /// Counts a wrong guess that was begun, and then [withdrawn](Self::withdraw) before it turned out
    /// that it must be paid for. Returns `None` if the secret was changed in the meantime.
    pub fn charge_withdrawn(
        &mut self,
        policy: &LedgerPolicy,
        guess: &PendingGuess,
        now: UnixSeconds,
    ) -> Option<Charge> {
        let admitted = guess.admitted();
        self.entry(admitted.secret(), admitted.generation())?;
        Some(self.charge(policy, admitted, now))
    }

    /// Records a guess that the host found right, as [`forgive`](Self::forgive) does. Returns
    /// whether the verdict counts. If it does, the ledger has to be stored.
    ///
    /// A verdict that arrives later than
    /// [`verdict_seconds`](super::LedgerPolicyBuilder::verdict_seconds) does not count, because the
    /// guess was charged by then. Neither does one for a secret that was changed in the meantime.
    /// In both cases, deny the guess as if it were wrong.
    pub fn settle_right(&mut self, policy: &LedgerPolicy, guess: &PendingGuess, now: UnixSeconds) -> bool {
        let admitted = guess.admitted();
        if self.entry(admitted.secret(), admitted.generation()).is_none() {
            return false;
        }
        let entry = self.open(policy, admitted.secret(), admitted.generation(), now);
        if entry.take_pending(guess.id).is_none() {
            return false;
        }
        entry.forgive(policy, admitted.client(), now);
        true
    }

    /// Withdraws a guess that the host did not check after all. Nothing is counted. Returns whether
    /// the guess was still unjudged; if so, the ledger has to be stored.
    ///
    /// The guess is no longer unjudged after
    /// [`verdict_seconds`](super::LedgerPolicyBuilder::verdict_seconds), when it has been charged.
    /// The same is true if another client replaced its client as a known one, or if the secret was
    /// changed.
    ///
    /// Withdraw a guess only if its sender learned nothing from it, because it counts as if it had
    /// never been made.
    pub fn withdraw(&mut self, policy: &LedgerPolicy, guess: &PendingGuess, now: UnixSeconds) -> bool {
        let admitted = guess.admitted();
        if self.entry(admitted.secret(), admitted.generation()).is_none() {
            return false;
        }
        let entry = self.open(policy, admitted.secret(), admitted.generation(), now);
        entry.take_pending(guess.id).is_some_and(|pending| pending.place != Place::Counted)
    }
}

/// Changes of the secret.
impl GuessLedger {
    /// Begins the ledger of a new secret, in the commit that changes it.
    ///
    /// Streaks, levels, waits, admissions and unjudged guesses end with the old secret. Known
    /// clients stay known, and those in `changed_by` become known: the credential of the client
    /// that made the change, and its network if the change ends credentials.
    ///
    /// Nothing is carried over from an entry whose generation is not `from`. If the entry's
    /// generation is `to` already, the change has been recorded, and only `changed_by` is added; a
    /// repetition does not clear what was counted since. A change of a secret that keeps its
    /// generation ([`Generation::HOST`]) has `from` equal to `to`, and clears the entry each time.
    pub fn renew(
        &mut self,
        policy: &LedgerPolicy,
        secret: SecretKind,
        from: Generation,
        to: Generation,
        changed_by: &[ClientTag],
        now: UnixSeconds,
    ) {
        let found = self.entries.get(&secret.secret_name()).map(|entry| entry.generation);
        let carried = match self.entry(secret, from) {
            Some(entry) => entry.known.iter().map(|known| known.tag).collect(),
            None => Vec::new(),
        };
        self.change(policy, secret, to, now, |entry| {
            if found == Some(from) {
                entry.restart(to);
            }
            for tag in carried.iter().chain(changed_by) {
                entry.learn(policy, *tag, now);
            }
        });
    }

    /// Removes a secret's entry, because the account no longer has such a secret. Returns whether
    /// there was an entry.
    pub fn forget(&mut self, secret: SecretKind) -> bool {
        self.entries.remove(&secret.secret_name()).is_some()
    }
}

/// Admissions and unlocks.
impl GuessLedger {
    /// Admits a client, identified by its credential or its network. Its next ten guesses within an
    /// hour are checked, whatever the other clients or the client itself did before. An account has
    /// three admissions in any 24 hours, for all secrets together.
    ///
    /// The caller must call this only after a proven act: the link of a mail, a session of the
    /// account with a fresh proof of the same or a stronger factor, a recovery code (for a
    /// time-based code), or the operator's decision.
    pub fn admit_client(
        &mut self,
        policy: &LedgerPolicy,
        secret: SecretKind,
        generation: Generation,
        tag: ClientTag,
        now: UnixSeconds,
    ) -> ClientAdmission {
        self.settle(policy, now);
        self.admissions.retain(|admission| now < admission.plus(ADMISSION_DAY));
        // An admission that has ended must not come back beyond the count if the clock goes back.
        for entry in self.entries.values_mut() {
            entry.end_admissions(now);
        }
        let free = |moment: UnixSeconds| ClientAdmission::TooMany { retry_after: moment.since(now).max(1) };
        let surplus = self.admissions.len().saturating_sub(policy.admissions.saturating_sub(1));
        if policy.admissions == 0 {
            return free(now.plus(ADMISSION_DAY));
        }
        // The oldest come first: `surplus` of them have to be a day old.
        if let Some(admission) = surplus.checked_sub(1).and_then(|last| self.admissions.get(last)) {
            return free(admission.plus(ADMISSION_DAY));
        }
        let entry = self.open(policy, secret, generation, now);
        let others = entry.admitted.iter().filter(|admitted| admitted.tag != tag);
        if others.clone().count() >= MAX_ADMISSIONS {
            return free(others.map(|admitted| admitted.until).min().unwrap_or(now));
        }
        let until = entry.admit(policy, tag, now);
        self.admissions.push(now);
        ClientAdmission::Admitted { until }
    }

    /// Clears the streaks, waits and levels of a secret. Known clients stay known. Returns whether
    /// there was anything to clear.
    ///
    /// This is for the operator: every client gets all of its guesses back, whereas an admission
    /// lets one client make ten.
    pub fn unlock(
        &mut self,
        policy: &LedgerPolicy,
        secret: SecretKind,
        generation: Generation,
        now: UnixSeconds,
    ) -> bool {
        self.entry(secret, generation).is_some()
            && self.change(policy, secret, generation, now, |entry| entry.unlock(policy, now))
    }

    /// Clears the streaks, waits and levels of every secret, whatever its generation. This is for
    /// the operator, who acts on a whole account. Returns the secrets that had anything to clear.
    pub fn unlock_all(&mut self, policy: &LedgerPolicy, now: UnixSeconds) -> Vec<SecretName> {
        self.settle(policy, now);
        let mut cleared = Vec::new();
        for (&secret, entry) in &mut self.entries {
            entry.catch_up(policy, now);
            let before = entry.clone();
            entry.unlock(policy, now);
            if *entry != before {
                cleared.push(secret);
            }
        }
        self.entries.retain(|_, entry| !entry.is_blank());
        cleared
    }

    /// Whether a mail should be sent to the account's verified address, with a link that admits the
    /// client. This is so if the client is refused for more than 15 minutes or until somebody acts,
    /// and the pause since the last mail is over. It is never so for a secret [without
    /// mail](SecretKind::without_mail).
    ///
    /// The refusal of a known client counts too, because another client on the same network may
    /// have caused it.
    #[must_use]
    pub fn unlock_mail_due(
        &self,
        _policy: &LedgerPolicy,
        attempt: &Attempt,
        refusal: &Refusal,
        now: UnixSeconds,
    ) -> bool {
        let shut = refusal.is_locked() || refusal.retry_after() > MAIL_WAIT;
        if !attempt.secret.is_opened_by_mail() || !shut || refusal.is_unjudged() {
            return false;
        }
        match self.entry(attempt.secret, attempt.generation).and_then(|entry| entry.mail.as_ref()) {
            Some(mail) => now >= mail.next(),
            None => true,
        }
    }

    /// Returns what the mail to the owner reports: how many wrong guesses the unknown clients have
    /// made since the last right guess, and when the first was made. Returns `None` if they have
    /// made none.
    #[must_use]
    pub fn lockout_summary(&self, attempt: &Attempt) -> Option<LockoutSummary> {
        let unknown = self.entry(attempt.secret, attempt.generation)?.unknown;
        (unknown.since_right > 0).then_some(LockoutSummary { wrong_guesses: unknown.since_right, since: unknown.first })
    }

    /// Records that a mail becomes due in this commit, together with the ticket of its link. The
    /// ticket is 16 bytes that only the link reveals, or better a keyed hash of what the link
    /// carries. The previous link stops working.
    ///
    /// The pause until the next mail is a day. It doubles with each mail whose link nobody has
    /// used, up to 30 days. Returns the end of the pause, at which the link expires too. Until then
    /// the mail is worth sending, however often that fails.
    pub fn unlock_mail_sent(
        &mut self,
        policy: &LedgerPolicy,
        attempt: &Attempt,
        ticket: [u8; 16],
        now: UnixSeconds,
    ) -> UnixSeconds {
        let entry = self.open(policy, attempt.secret, attempt.generation, now);
        let mail = UnlockMail::after(entry.mail.as_ref(), Ticket(ticket), now);
        entry.mail = Some(mail);
        mail.next()
    }

    /// Uses the link of the last mail once. Returns whether the link is valid: it works three
    /// times, and until the next mail may be sent. If it is valid, call
    /// [`admit_client`](Self::admit_client) in the same step, and discard the step if that returns
    /// [`ClientAdmission::TooMany`](super::ClientAdmission::TooMany).
    ///
    /// The next mail may then be sent a day later instead of after a longer pause, because somebody
    /// evidently reads the mails.
    pub fn unlock_mail_clicked(
        &mut self,
        policy: &LedgerPolicy,
        secret: SecretKind,
        generation: Generation,
        ticket: [u8; 16],
        now: UnixSeconds,
    ) -> bool {
        if self.entry(secret, generation).is_none_or(|entry| entry.mail.is_none()) {
            return false;
        }
        let entry = self.open(policy, secret, generation, now);
        entry.mail.as_mut().is_some_and(|mail| mail.click(Ticket(ticket), now))
    }
}

/// Announcing denials.
impl GuessLedger {
    /// Records a denial, and returns whether the caller has to write an event for it. The first
    /// denial gets an event. Further ones within an hour are only counted, and the next event
    /// reports their number. The counts belong to the kind of secret, so they are kept when the
    /// secret is changed.
    pub fn report_denial(&mut self, secret: SecretKind, what: DenialKind, now: UnixSeconds) -> DenialReport {
        let name = secret.secret_name();
        let entry = self.entries.entry(name).or_insert_with(|| Entry::new(Generation::HOST));
        entry.denials.settle(now);
        entry.denials.report_denial(what, now)
    }

    /// Removes and returns the denials that were only counted and whose hour is over, so that the
    /// caller can write an event for them. If there are any, the ledger has to be stored.
    pub fn take_unreported(&mut self, now: UnixSeconds) -> Vec<UnreportedDenials> {
        let mut unreported = Vec::new();
        for (&secret, entry) in &mut self.entries {
            let taken = entry.denials.take_unreported(now);
            unreported.extend(taken.into_iter().map(|(what, times)| UnreportedDenials { secret, what, times }));
        }
        unreported
    }
}

impl GuessLedger {
    /// The entry of a secret, unless it is of another generation.
    pub(super) fn entry(&self, secret: SecretKind, generation: Generation) -> Option<&Entry> {
        self.entries.get(&secret.secret_name()).filter(|entry| entry.generation == generation)
    }

    fn judge(&self, policy: &LedgerPolicy, attempt: &Attempt, now: UnixSeconds) -> Result<AdmittedAttempt, Refusal> {
        let mut admitted = AdmittedAttempt { attempt: *attempt, place: Place::Unknown, known: false };
        let Some(entry) = self.entry(attempt.secret, attempt.generation) else { return Ok(admitted) };
        let mut entry = entry.clone();
        entry.catch_up(policy, now);
        admitted.known = entry.is_known(attempt.client);
        admitted.place = entry.judge(policy, attempt.secret.strength(), attempt.client, now)?;
        Ok(admitted)
    }

    /// Replaces every stored time that lies too far in the future by the latest plausible one.
    /// Returns whether there was any.
    ///
    /// If there was any, the ledger has to be stored, even if the request is refused, so that a
    /// reported wait ends when it was reported to end. Every method that changes the ledger does
    /// this by itself. Call it only before a method that can refuse without returning a
    /// [`Refusal`], such as [`admit_client`](Self::admit_client).
    pub fn settle(&mut self, policy: &LedgerPolicy, now: UnixSeconds) -> bool {
        let before = self.clone();
        for entry in self.entries.values_mut() {
            entry.settle(policy, now);
        }
        for admission in &mut self.admissions {
            *admission = (*admission).min(now);
        }
        *self != before
    }

    /// Returns the entry of a secret for a change, caught up with `now`. An entry of another
    /// generation is replaced.
    fn open(
        &mut self,
        policy: &LedgerPolicy,
        secret: SecretKind,
        generation: Generation,
        now: UnixSeconds,
    ) -> &mut Entry {
        self.settle(policy, now);
        let entry = self.entries.entry(secret.secret_name()).or_insert_with(|| Entry::new(generation));
        if entry.generation != generation {
            entry.restart(generation);
        }
        entry.catch_up(policy, now);
        entry
    }

    /// Changes an entry, and removes it if it is blank afterwards. Returns whether the ledger has
    /// changed.
    fn change(
        &mut self,
        policy: &LedgerPolicy,
        secret: SecretKind,
        generation: Generation,
        now: UnixSeconds,
        change: impl FnOnce(&mut Entry),
    ) -> bool {
        let before = self.clone();
        let entry = self.open(policy, secret, generation, now);
        change(entry);
        if entry.is_blank() {
            self.entries.remove(&secret.secret_name());
        }
        *self != before
    }
}

fn charged(policy: &LedgerPolicy, entry: &Entry, admitted: &AdmittedAttempt, streak: u16, now: UnixSeconds) -> Charge {
    let next = entry.judge(policy, admitted.secret().strength(), admitted.client(), now).err();
    Charge { admitted: *admitted, streak, at: now, next }
}

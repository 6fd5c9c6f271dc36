//! The ledger itself: admits, charges and forgives, secret by secret.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::mail::UnlockMail;
use super::outcome::Ticket;
use super::place::Place;
use super::policy::{ADMISSION_DAY, MAIL_WAIT, MAX_ADMISSIONS};
use crate::ledger::client::{Attempt, ClientTag};
use crate::ledger::outcome::{
    Admission, AdmittedAttempt, Charge, ClientAdmission, PendingGuess, Refusal, ShutOut, Tell, Told, Untold,
};
use crate::ledger::policy::LedgerPolicy;
use crate::ledger::secret::{Generation, SecretKind, SecretName};
use crate::time::UnixSeconds;

/// The wrong guesses of one account, secret by secret. About 200 bytes for a secret with five known clients; made to be
/// stored whole.
///
/// The stored form is hostile input. More than [`MAX_SECRETS`](super::MAX_SECRETS) secrets, five known clients or three admitted ones, a name
/// or a tag twice, too many unjudged guesses, or a time beyond the year 9999 are errors of the decoder; any numbers within
/// these bounds are safe. Nothing is evicted to make room for another secret: a ledger with too many does not serialize.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuessLedger {
    pub(super) entries: BTreeMap<SecretName, Entry>,
    /// When the last clients were admitted, for any secret.
    pub(super) admissions: Vec<UnixSeconds>,
}

/// Guesses.
impl GuessLedger {
    /// Returns whether a guess may be looked at. Ask **before** looking at it.
    ///
    /// Opening changes nothing. Neither does a refusal, with one exception: moments that lie in the future, because the
    /// clock went back, are moved to where they are believed. [`Refusal::changed`] reports that; only then is there
    /// something to store.
    pub fn admit(&mut self, policy: &LedgerPolicy, attempt: &Attempt, now: UnixSeconds) -> Admission {
        match self.judge(policy, attempt, now) {
            Ok(admitted) => Admission::Open(admitted),
            Err(mut refusal) => {
                refusal.changed = self.settle(policy, now);
                Admission::Refused(refusal)
            }
        }
    }

    /// Returns what [`admit`](Self::admit) would refuse with at this moment, and changes nothing: for a request without a
    /// guess that reports a wait, and for a look before a turn is taken. If the refusal says that it
    /// [changes](Refusal::changed) something, `admit` has to be called for it.
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

    /// Returns the tag under which the client of an attempt has a place of its own, as a known or an admitted one; `None`
    /// for one that is judged together with all unknown clients.
    #[must_use]
    pub fn own_place(&self, policy: &LedgerPolicy, attempt: &Attempt, now: UnixSeconds) -> Option<ClientTag> {
        let mut entry = self.entry(attempt.secret, attempt.generation)?.clone();
        entry.catch_up(policy, now);
        entry.own_place(attempt.client)
    }

    /// Gives a client another tag, because the credential that named it was replaced by a new one: a session's id that
    /// changed. Whatever was known of it, and counted, goes on; nobody gains or loses a place. Returns whether there is
    /// something to store.
    ///
    /// Only in the commit that replaces the credential, for a request that the old one has authenticated.
    pub fn rename_client(&mut self, policy: &LedgerPolicy, attempt: &Attempt, to: ClientTag, now: UnixSeconds) -> bool {
        let Some(from) = attempt.client.tag() else { return false };
        if !self.entry(attempt.secret, attempt.generation).is_some_and(|entry| entry.has(from)) {
            return false;
        }
        self.change(policy, attempt.secret, attempt.generation, now, |entry| entry.rename(from, to))
    }

    /// Counts a wrong guess.
    ///
    /// Malformed input, replays, the *new* secret of a change and an enrolling code are not guesses and are not charged.
    /// `admitted` is what [`admit`](Self::admit) opened in this same step.
    pub fn charge(&mut self, policy: &LedgerPolicy, admitted: &AdmittedAttempt, now: UnixSeconds) -> Charge {
        let entry = self.open(policy, admitted.secret(), admitted.generation(), now);
        let streak = entry.charge(policy, admitted.place, now);
        charged(policy, entry, admitted, streak, now)
    }

    /// Books a right guess: the client becomes known under its [tags](super::Client::known_tags) and its streak ends; the
    /// level stays.
    /// Returns whether there is something to store.
    pub fn forgive(&mut self, policy: &LedgerPolicy, admitted: &AdmittedAttempt, now: UnixSeconds) -> bool {
        self.change(policy, admitted.secret(), admitted.generation(), now, |entry| {
            entry.forgive(policy, admitted.client(), now)
        })
    }
}

/// Guesses that the host judges.
impl GuessLedger {
    /// Notes a guess that the host is about to judge. Commit this, ask the host without holding anything of the account,
    /// and settle the guess in a second commit.
    ///
    /// `id` is drawn at random for each guess. If it is one of an unjudged guess, that one is charged.
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

    /// Counts a guess that the host found wrong. Returns `None` if nothing is counted: the guess was charged already,
    /// because its verdict came too late or its client lost its place, or the secret was changed in the meantime.
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

    /// Books a guess that the host found right, as [`forgive`](Self::forgive) does. Returns whether the verdict counts.
    /// If it does, there is something to store.
    ///
    /// It does not count if it came after [`verdict_seconds`](super::LedgerPolicyBuilder::verdict_seconds), when the guess has
    /// been charged, or if the secret was changed in the meantime. Deny it then, as if it were wrong.
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

    /// Takes a guess back that the host has not looked at: nothing is counted. Returns whether it was still unjudged; if so,
    /// there is something to store. It is not after [`verdict_seconds`](super::LedgerPolicyBuilder::verdict_seconds), when it has
    /// been charged, nor if its client lost its place or the secret was changed in the meantime.
    ///
    /// Only for a guess about which nothing was learned: one that is taken back was never made.
    pub fn withdraw(&mut self, policy: &LedgerPolicy, guess: &PendingGuess, now: UnixSeconds) -> bool {
        let admitted = guess.admitted();
        if self.entry(admitted.secret(), admitted.generation()).is_none() {
            return false;
        }
        let entry = self.open(policy, admitted.secret(), admitted.generation(), now);
        entry.take_pending(guess.id).is_some_and(|pending| pending.place != Place::Counted)
    }
}

/// A change of the secret.
impl GuessLedger {
    /// Begins the ledger of a new secret, in the commit that changes it. Streaks, levels, waits, admissions and unjudged
    /// guesses end with the old secret. The clients that were known stay known, and those in `changed_by` become known:
    /// the credential of the client that made the change, and its network where the change ends credentials.
    ///
    /// Nothing is carried over from an entry that is not of `from`. If it is of `to` already, the change has been booked,
    /// and only `changed_by` is added; a repetition does not clear what was counted since. A change of a secret that
    /// keeps its generation ([`Generation::HOST`]) has `from` equal to `to`, and clears each time.
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

    /// Removes a secret's entry: the account has no such secret any more. Returns whether there was an entry.
    pub fn forget(&mut self, secret: SecretKind) -> bool {
        self.entries.remove(&secret.secret_name()).is_some()
    }
}

/// Ways in.
impl GuessLedger {
    /// Admits a client, named by its credential or its network: its next ten guesses within an hour are looked at,
    /// whatever others have done and whatever it has done itself. There are three admissions in any 24 hours for an
    /// account, all secrets together.
    ///
    /// Only after an act that the caller must have proven: the link of a mail, a session of the account with a fresh proof
    /// of the same or a stronger factor, a recovery code (for a time-based code), the operator.
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
        // What has ended must not come back, beyond the count, should the clock go back.
        for entry in self.entries.values_mut() {
            entry.end_admissions(now);
        }
        let free = |moment: UnixSeconds| ClientAdmission::TooMany { retry_after: moment.since(now).max(1) };
        let surplus = self.admissions.len().saturating_sub(policy.admissions.saturating_sub(1));
        if policy.admissions == 0 {
            return free(now.plus(ADMISSION_DAY));
        }
        // The oldest first: `surplus` of them have to be a day old.
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

    /// Clears the streaks, waits and levels of a secret; known clients stay known. Returns whether there was anything to
    /// clear. For the operator: it gives everybody all guesses anew, where an admission gives one client ten.
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

    /// Clears the streaks, waits and levels of every secret, whatever its generation: the operator's act for a whole account.
    /// Returns the secrets of which there was anything to clear.
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

    /// Whether a refusal is worth a mail to the account's verified address, with a link that admits the client: it is for
    /// more than 15 minutes or for good, and the pause since the last mail is over. Never for a secret
    /// [without mail](SecretKind::without_mail).
    ///
    /// A known client counts too: somebody else on the same network can have filled its limit.
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

    /// Returns what the mail reports: how often unknown clients have guessed wrong since the last right guess, and since
    /// when. `None` if they have not.
    #[must_use]
    pub fn shut_out(&self, attempt: &Attempt) -> Option<ShutOut> {
        let unknown = self.entry(attempt.secret, attempt.generation)?.unknown;
        (unknown.since_right > 0).then_some(ShutOut { wrong_guesses: unknown.since_right, since: unknown.first })
    }

    /// Notes that a mail becomes due in this commit, and the ticket of its link: 16 bytes that only the link reveals, or
    /// better a keyed hash of what the link carries. The link before it stops working.
    ///
    /// The pause until the next mail is a day; it doubles with each mail whose link nobody has used, up to 30 days. Returns
    /// the end of the pause, which is the end of the link: until then the mail is worth sending, however often that fails.
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

    /// Uses the link of the last mail once. Returns whether it is valid: until the next mail may go, three times. Call
    /// [`admit_client`](Self::admit_client) in the same step then, and drop the step if there are too many admissions.
    ///
    /// The next mail may go a day later, as somebody evidently reads them.
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

/// Denials.
impl GuessLedger {
    /// Returns whether a denial becomes an event now. The first one does; others within an hour of it are counted, and are
    /// one event together with the next that is told. The counts belong to the kind of secret and outlive its changes.
    pub fn tell(&mut self, secret: SecretKind, what: Told, now: UnixSeconds) -> Tell {
        let name = secret.secret_name();
        let entry = self.entries.entry(name).or_insert_with(|| Entry::new(Generation::HOST));
        entry.told.settle(now);
        entry.told.tell(what, now)
    }

    /// Takes the denials that were counted and whose hour is over, so that another event that is written now can tell them
    /// first. There is something to store if there are any.
    pub fn take_untold(&mut self, now: UnixSeconds) -> Vec<Untold> {
        let mut untold = Vec::new();
        for (&secret, entry) in &mut self.entries {
            let taken = entry.told.take_untold(now);
            untold.extend(taken.into_iter().map(|(what, times)| Untold { secret, what, times }));
        }
        untold
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

    /// Moves every moment that lies in the future to where it is believed. Returns whether there was one, and so something
    /// to store, even beside a refusal: a wait that is told then ends when it was said to. Every change of the ledger does
    /// this by itself; call it before one that may refuse without a [`Refusal`], as
    /// [`admit_client`](Self::admit_client) does.
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

    /// The entry of a secret for a change, caught up with `now`. One of another generation is replaced.
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

    /// Changes an entry, and removes it if it says nothing then. Returns whether the ledger is another.
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

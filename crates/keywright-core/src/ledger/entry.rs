//! The entry of one secret: its known clients, its admitted clients, its unjudged guesses, and how
//! each client is judged.

use serde::{Deserialize, Serialize};

use super::denials::Tallies;
use super::failures::{Failures, Opening, Unknown};
use super::mail::UnlockMail;
use super::outcome::Refusal;
use super::place::Place;
use super::policy::{ADMISSION_SECONDS, LOCKED_RETRY_AFTER, Limits, MAX_IN_FLIGHT, MAX_PENDING};
use crate::ledger::client::{Client, ClientTag};
use crate::ledger::policy::LedgerPolicy;
use crate::ledger::secret::{Generation, Strength};
use crate::time::UnixSeconds;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) tag: ClientTag,
    pub(super) failures: Failures,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Admitted {
    pub(super) tag: ClientTag,
    pub(super) tries: u8,
    pub(super) until: UnixSeconds,
}

/// A guess that the host has not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) id: [u8; 8],
    pub(super) place: Place,
    pub(super) at: UnixSeconds,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) generation: Generation,
    pub(super) unknown: Unknown,
    /// In the order of their last right guess, the latest last. This is an order and not a time, so
    /// that no clock decides which client is replaced. A client that lacks the secret can neither
    /// become known, nor push a client out, nor keep a stolen one from growing old.
    pub(super) known: Vec<Known>,
    pub(super) admitted: Vec<Admitted>,
    pub(super) pending: Vec<Pending>,
    pub(super) mail: Option<UnlockMail>,
    /// These counts belong to the secret, not to this generation.
    pub(super) denials: Tallies,
}

impl Entry {
    pub(super) const fn new(generation: Generation) -> Self {
        Self {
            generation,
            unknown: Unknown::NONE,
            known: Vec::new(),
            admitted: Vec::new(),
            pending: Vec::new(),
            mail: None,
            denials: Tallies::NONE,
        }
    }

    /// Begins another generation. Only the counted denials are kept.
    pub(super) fn restart(&mut self, generation: Generation) {
        *self = Self { denials: self.denials, ..Self::new(generation) };
    }

    /// Whether the entry holds no more than an absent one would.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self::new(self.generation)
    }

    /// Clamps every moment that lies too far in the future to the latest plausible one.
    pub(super) fn settle(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        self.unknown.settle(policy, now);
        for known in &mut self.known {
            known.failures.settle(policy, now);
        }
        for admitted in &mut self.admitted {
            admitted.until = admitted.until.min(now.plus(ADMISSION_SECONDS));
        }
        for pending in &mut self.pending {
            pending.at = pending.at.min(now);
        }
        if let Some(mail) = &mut self.mail {
            mail.settle(now);
        }
        self.denials.settle(now);
    }

    /// Applies the passing of time: charges the guesses that were never judged, and ends
    /// admissions. It also drops the known clients for which a stricter policy has no place.
    pub(super) fn catch_up(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        self.settle(policy, now);
        let late = |pending: &Pending| pending.at.plus(policy.verdict_seconds) <= now;
        let overdue: Vec<Pending> = self.pending.iter().copied().filter(late).collect();
        self.pending.retain(|pending| !late(pending));
        for pending in overdue {
            self.charge(policy, pending.place, pending.at.plus(policy.verdict_seconds));
        }
        self.end_admissions(now);
        while self.known.len() > policy.known_clients {
            self.evict();
        }
    }

    pub(super) fn end_admissions(&mut self, now: UnixSeconds) {
        self.admitted.retain(|admitted| now < admitted.until);
    }

    /// Whether the client is a known one.
    pub(super) fn is_known(&self, client: Client) -> bool {
        client.tag().is_some_and(|tag| self.known.iter().any(|known| known.tag == tag))
    }

    /// Whether a known or an admitted client has this tag.
    pub(super) fn has(&self, tag: ClientTag) -> bool {
        let admitted = self.admitted.iter().map(|admitted| admitted.tag);
        self.known.iter().map(|known| known.tag).chain(admitted).any(|taken| taken == tag)
    }

    /// The tag of the place that the client does not share with unknown clients.
    pub(super) fn own_place(&self, client: Client) -> Option<ClientTag> {
        let tags = self.known.iter().map(|known| known.tag).filter(|tag| client.tag() == Some(*tag));
        tags.chain(self.admitted.iter().map(|admitted| admitted.tag).filter(|tag| client.is_named_by(*tag))).next()
    }

    /// Returns what the client's next guess counts for, or why it is not checked. The entry must
    /// have caught up with `now`.
    pub(super) fn judge(
        &self,
        policy: &LedgerPolicy,
        strength: Strength,
        client: Client,
        now: UnixSeconds,
    ) -> Result<Place, Refusal> {
        let named = || self.admitted.iter().filter(|admitted| client.is_named_by(admitted.tag));
        if let Some(admitted) = named().find(|admitted| self.tries_free(admitted) > 0) {
            return Ok(Place::Admitted(admitted.tag));
        }
        let guessable = strength == Strength::Guessable;
        let known = self.known.iter().find(|known| client.tag() == Some(known.tag));
        // A known client whose admission is used up is judged as any known client. An admission may
        // name a network, and the other clients on it must not cause a known one to wait.
        if let Some(known) = known {
            let place = Place::Known(known.tag);
            return self.judge_failures(policy, &known.failures, &policy.known, guessable, place, now);
        }
        let admitted =
            self.judge_failures(policy, &self.unknown.failures, &policy.unknown, guessable, Place::Unknown, now);
        if named().next().is_none() {
            return admitted;
        }
        // No tries are left, or all are in flight. If all of them are wrong, the client counts as
        // unknown once its admissions end.
        if let Some(free) = named().filter_map(|admitted| self.verdict_frees(policy, admitted)).min() {
            return Err(Refusal { retry_after: free.since(now), locked: false, unjudged: true, changed: false });
        }
        let end = named().map(|admitted| admitted.until).max().unwrap_or(now);
        let unjudged = named().any(|admitted| admitted.tries > 0);
        let mut refusal = Refusal { retry_after: end.since(now), locked: false, unjudged, changed: false };
        if let Err(admitted) = admitted {
            refusal.retry_after = refusal.retry_after.max(admitted.retry_after);
            refusal.locked = admitted.locked;
        }
        Err(refusal)
    }

    fn judge_failures(
        &self,
        policy: &LedgerPolicy,
        failures: &Failures,
        limits: &Limits,
        guessable: bool,
        place: Place,
        now: UnixSeconds,
    ) -> Result<Place, Refusal> {
        let in_flight: Vec<UnixSeconds> =
            self.pending.iter().filter(|pending| pending.place == place).map(|pending| pending.at).collect();
        let count = u16::try_from(in_flight.len()).unwrap_or(u16::MAX);
        let open = matches!(failures.opening(limits, guessable), Opening::At(moment) if moment <= now);
        let room = count == 0
            || (in_flight.len() < MAX_IN_FLIGHT && failures.has_room_beside(policy, limits, guessable, count, now));
        if open && room {
            return Ok(place);
        }
        // The reported wait must hold: every unjudged guess may be wrong, and may be charged as
        // late as is possible.
        let mut worst = *failures;
        for at in in_flight {
            worst.charge(policy, limits, at.plus(policy.verdict_seconds));
        }
        let (retry_after, locked) = match worst.opening(limits, guessable) {
            Opening::At(moment) => (moment.since(now).max(1), false),
            Opening::Locked => (LOCKED_RETRY_AFTER, true),
        };
        Err(Refusal { retry_after, locked, unjudged: open, changed: false })
    }

    /// The number of tries of an admission that may begin now.
    fn tries_free(&self, admitted: &Admitted) -> usize {
        let in_flight = self.in_flight(Place::Admitted(admitted.tag));
        usize::from(admitted.tries).min(MAX_IN_FLIGHT).saturating_sub(in_flight)
    }

    /// When the next verdict, even a wrong one, frees a try of an admission.
    fn verdict_frees(&self, policy: &LedgerPolicy, admitted: &Admitted) -> Option<UnixSeconds> {
        let place = Place::Admitted(admitted.tag);
        if usize::from(admitted.tries) <= self.in_flight(place) {
            return None;
        }
        let first = self.pending.iter().filter(|pending| pending.place == place).map(|pending| pending.at).min()?;
        Some(first.plus(policy.verdict_seconds)).filter(|&verdict| verdict < admitted.until)
    }

    fn in_flight(&self, place: Place) -> usize {
        self.pending.iter().filter(|pending| pending.place == place).count()
    }

    /// Counts a wrong guess and returns the resulting streak.
    pub(super) fn charge(&mut self, policy: &LedgerPolicy, place: Place, now: UnixSeconds) -> u16 {
        match place {
            Place::Known(tag) => {
                if let Some(known) = self.known.iter_mut().find(|known| known.tag == tag) {
                    known.failures.charge(policy, &policy.known, now);
                    return known.failures.streak;
                }
            }
            Place::Admitted(tag) => {
                // If the admission has ended, the guess still was one of its tries.
                let admitted = self.admitted.iter_mut().find(|admitted| admitted.tag == tag);
                let left = admitted.map_or(0, |admitted| {
                    admitted.tries = admitted.tries.saturating_sub(1);
                    admitted.tries
                });
                return u16::from(policy.admitted_tries.saturating_sub(left));
            }
            Place::Counted => return 0,
            Place::Unknown => {}
        }
        self.unknown.charge(policy, now);
        self.unknown.failures.streak
    }

    /// Records a right guess of the client: it becomes known, its streak ends, and the unknown
    /// clients' streak falls.
    pub(super) fn forgive(&mut self, policy: &LedgerPolicy, client: Client, now: UnixSeconds) {
        self.unknown.relax(policy, now);
        if let Some(at) = self.known.iter().position(|known| client.replaced_tag() == Some(known.tag)) {
            // This client is the first to be replaced, if one has to be.
            self.known.get_mut(..=at).unwrap_or_default().rotate_right(1);
        }
        for tag in client.known_tags() {
            self.learn(policy, tag, now);
        }
    }

    /// Makes a client known, as the one with the most recent right guess.
    pub(super) fn learn(&mut self, policy: &LedgerPolicy, tag: ClientTag, now: UnixSeconds) {
        let mut failures = Failures::NONE;
        if let Some(at) = self.known.iter().position(|known| known.tag == tag) {
            failures = self.known.remove(at).failures;
            failures.end_streak();
        } else if policy.known_clients == 0 {
            return;
        } else if self.known.len() >= policy.known_clients
            && let Some((leaving, in_flight)) = self.evict()
        {
            failures = leaving.failures.inherit(&policy.known, in_flight, now);
        }
        self.known.push(Known { tag, failures });
    }

    /// Replaces the tag of a client. Its place, its admission and its unjudged guesses are kept
    /// under the new tag. Does nothing if there is a client with that tag already.
    pub(super) fn rename(&mut self, from: ClientTag, to: ClientTag) {
        if self.has(to) {
            return;
        }
        let renamed = |tag: &mut ClientTag| {
            if *tag == from {
                *tag = to;
            }
        };
        self.known.iter_mut().for_each(|known| renamed(&mut known.tag));
        self.admitted.iter_mut().for_each(|admitted| renamed(&mut admitted.tag));
        for pending in &mut self.pending {
            if let Place::Known(tag) | Place::Admitted(tag) = &mut pending.place {
                renamed(tag);
            }
        }
    }

    /// Removes the client whose last right guess is the oldest. Its unjudged guesses are counted
    /// now, against the client that takes its place.
    fn evict(&mut self) -> Option<(Known, usize)> {
        if self.known.is_empty() {
            return None;
        }
        let leaving = self.known.remove(0);
        let place = Place::Known(leaving.tag);
        let in_flight = self.in_flight(place);
        for pending in self.pending.iter_mut().filter(|pending| pending.place == place) {
            pending.place = Place::Counted;
        }
        Some((leaving, in_flight))
    }

    /// Records a guess that the host is to judge.
    pub(super) fn begin(&mut self, policy: &LedgerPolicy, place: Place, id: [u8; 8], now: UnixSeconds) {
        // A repeated id would hide a guess, so the first guess counts as wrong.
        if let Some(twin) = self.take_pending(id) {
            self.charge(policy, twin.place, now);
        }
        // `judge` keeps every client at four. An `AdmittedAttempt` that is used twice must not
        // result in a record that cannot be read.
        if self.in_flight(place) >= MAX_IN_FLIGHT
            && let Some(at) = self.pending.iter().position(|pending| pending.place == place)
        {
            self.pending.remove(at);
            self.charge(policy, place, now);
        }
        // So only counted guesses can fill the list.
        while self.pending.len() >= MAX_PENDING {
            let at = self.pending.iter().position(|pending| pending.place == Place::Counted).unwrap_or(0);
            let oldest = self.pending.remove(at);
            self.charge(policy, oldest.place, now);
        }
        self.pending.push(Pending { id, place, at: now });
    }

    /// Removes and returns the unjudged guess with this id.
    pub(super) fn take_pending(&mut self, id: [u8; 8]) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.id == id)?;
        Some(self.pending.remove(at))
    }

    /// Admits a client for an hour. An earlier admission of it ends.
    pub(super) fn admit(&mut self, policy: &LedgerPolicy, tag: ClientTag, now: UnixSeconds) -> UnixSeconds {
        let until = now.plus(ADMISSION_SECONDS);
        self.admitted.retain(|admitted| admitted.tag != tag);
        // A guess that an earlier admission left unjudged was one of its tries, and uses up none of
        // the new ones.
        for pending in self.pending.iter_mut().filter(|pending| pending.place == Place::Admitted(tag)) {
            pending.place = Place::Counted;
        }
        self.admitted.push(Admitted { tag, tries: policy.admitted_tries, until });
        until
    }

    /// Clears streaks, waits and levels, and the admissions that are used up. Unjudged guesses
    /// count as wrong first. Known clients stay known.
    pub(super) fn unlock(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        self.unknown = Unknown::NONE;
        for known in &mut self.known {
            known.failures = Failures::NONE;
        }
        for pending in std::mem::take(&mut self.pending) {
            // An admission keeps its other tries.
            if let Place::Admitted(_) = pending.place {
                self.charge(policy, pending.place, now);
            }
            self.pending.push(Pending { place: Place::Counted, ..pending });
        }
        self.admitted.retain(|admitted| admitted.tries > 0);
    }
}

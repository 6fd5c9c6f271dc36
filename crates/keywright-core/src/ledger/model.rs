//! An independent reference implementation of the rules, written for readability. A level is a list
//! of drops, each with its moment of evaporation; a wait is the moment at which it began; and the
//! waits are a literal table. It shares no arithmetic with the ledger.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use std::collections::VecDeque;

use super::{Client, ClientTag};

pub(super) const DAY: u64 = 86_400;
const WAITS: [u64; 12] = [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920];

fn wait(streak: usize) -> u64 {
    WAITS.get(streak).copied().unwrap_or(3600)
}

pub(super) fn tag(name: u8) -> ClientTag {
    ClientTag::from_bytes([name; 16])
}

/// A client, identified by its credential and its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) credential: Option<u8>,
    pub(super) network: Option<u8>,
}

impl Who {
    pub(super) fn name(self) -> Option<u8> {
        self.credential.or(self.network)
    }

    fn is(self, name: u8) -> bool {
        self.credential == Some(name) || self.network == Some(name)
    }

    pub(super) fn client(self) -> Client {
        let client = self.credential.map_or_else(Client::unknown, |name| Client::credential(tag(name)));
        self.network.map_or(client, |name| client.on_network(tag(name)))
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counter {
    streak: usize,
    began: u64,
    /// When each counted guess stops counting, ascending; everything up to `dry` has evaporated.
    drops: VecDeque<u64>,
    dry: u64,
}

impl Counter {
    fn settle(&mut self, now: u64) {
        self.began = self.began.min(now);
        let ahead = self.dry.saturating_sub(now);
        self.dry -= ahead;
        self.drops.iter_mut().for_each(|drop| *drop -= ahead);
    }

    fn evaporate(&mut self, now: u64) {
        while self.drops.front().is_some_and(|&gone| gone <= now) {
            self.dry = self.drops.pop_front().unwrap();
        }
        if self.drops.is_empty() {
            self.dry = self.dry.max(now);
        }
    }

    fn drip(&mut self, leak: u64, now: u64) {
        self.evaporate(now);
        self.drops.push_back(self.drops.back().copied().unwrap_or(self.dry) + leak);
    }

    fn charge(&mut self, leak: u64, now: u64) {
        self.drip(leak, now);
        self.streak += 1;
        self.began = now;
    }

    fn succeed(&mut self) {
        (self.streak, self.began) = (0, 0);
    }

    fn level(&self, now: u64) -> usize {
        self.drops.iter().filter(|&&gone| gone > now).count()
    }

    fn ask(&self, flights: usize, limit: usize, guessable: bool, now: u64) -> ModelAnswer {
        let all = self.streak + flights;
        let below = !guessable || (all < limit && self.level(now) + flights < limit);
        let calm = now >= self.began + wait(self.streak);
        if below && calm && (flights == 0 || (flights < 4 && wait(all) == 0)) {
            ModelAnswer::Open
        } else if guessable && all >= limit {
            ModelAnswer::Locked
        } else {
            ModelAnswer::Wait
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelAnswer {
    Open,
    Wait,
    Locked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Unknown,
    Known(u8),
    Admitted(u8),
    Counted,
}

#[derive(Debug, Clone)]
struct Admitted {
    name: u8,
    tries: usize,
    until: u64,
}

#[derive(Debug, Clone)]
struct Flight {
    id: u8,
    place: Place,
    at: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) guessable: bool,
    unknown: Counter,
    since_right: usize,
    last: u64,
    /// Ordered by the last right guess, the most recent last.
    known: Vec<(u8, Counter)>,
    admitted: Vec<Admitted>,
    flights: Vec<Flight>,
}

impl Reference {
    pub(super) fn new(guessable: bool) -> Self {
        Self {
            guessable,
            unknown: Counter::default(),
            since_right: 0,
            last: 0,
            known: Vec::new(),
            admitted: Vec::new(),
            flights: Vec::new(),
        }
    }

    pub(super) fn knows(&self, who: Who) -> bool {
        self.known.iter().any(|(name, _)| who.name() == Some(*name))
    }

    pub(super) fn known_names(&self) -> Vec<u8> {
        self.known.iter().map(|(name, _)| *name).collect()
    }

    pub(super) fn in_flight(&self, place: Place) -> usize {
        self.flights.iter().filter(|flight| flight.place == place).count()
    }

    pub(super) fn has_flights(&self) -> bool {
        !self.flights.is_empty()
    }

    pub(super) fn has_flight(&self, id: u8) -> bool {
        self.flights.iter().any(|flight| flight.id == id)
    }

    pub(super) fn settle(&mut self, now: u64) {
        self.unknown.settle(now);
        self.last = self.last.min(now);
        self.known.iter_mut().for_each(|(_, admitted)| admitted.settle(now));
        self.admitted.iter_mut().for_each(|admitted| admitted.until = admitted.until.min(now + 3600));
        self.flights.iter_mut().for_each(|flight| flight.at = flight.at.min(now));
    }

    /// Applies the passing of time.
    pub(super) fn tick(&mut self, now: u64) {
        self.settle(now);
        let mut late: Vec<Flight> = self.flights.iter().filter(|flight| flight.at + 120 <= now).cloned().collect();
        self.flights.retain(|flight| flight.at + 120 > now);
        late.sort_by_key(|flight| flight.at);
        for flight in late {
            self.charge(flight.place, flight.at + 120);
        }
        self.end_admissions(now);
    }

    pub(super) fn end_admissions(&mut self, now: u64) {
        self.admitted.retain(|admitted| now < admitted.until);
    }

    /// Returns what the next guess counts for, or why it is refused. Call it on a copy that has
    /// ticked.
    pub(super) fn ask(&self, who: Who, now: u64) -> Result<Place, ModelAnswer> {
        let named: Vec<&Admitted> = self.admitted.iter().filter(|admitted| who.is(admitted.name)).collect();
        let flights = |admitted: &Admitted| self.in_flight(Place::Admitted(admitted.name));
        for admitted in &named {
            if flights(admitted) < admitted.tries.min(4) {
                return Ok(Place::Admitted(admitted.name));
            }
        }
        let admitted =
            |admitted: &Counter, place, limit| match admitted.ask(self.in_flight(place), limit, self.guessable, now) {
                ModelAnswer::Open => Ok(place),
                refused => Err(refused),
            };
        if let Some((name, own)) = self.known.iter().find(|(name, _)| who.name() == Some(*name)) {
            return admitted(own, Place::Known(*name), 10);
        }
        let unknown = admitted(&self.unknown, Place::Unknown, 50);
        if named.is_empty() {
            return unknown;
        }
        let comes_back = named.iter().any(|admitted| {
            let first = self.flights.iter().filter(|flight| flight.place == Place::Admitted(admitted.name));
            let first = first.map(|flight| flight.at + 120).min();
            admitted.tries > flights(admitted) && first.is_some_and(|verdict| verdict < admitted.until)
        });
        Err(if !comes_back && unknown == Err(ModelAnswer::Locked) { ModelAnswer::Locked } else { ModelAnswer::Wait })
    }

    pub(super) fn charge(&mut self, place: Place, now: u64) {
        match place {
            Place::Unknown => {
                self.unknown.charge(2 * DAY, now);
                self.since_right += 1;
                self.last = now;
            }
            Place::Known(name) => {
                let own = self.known.iter_mut().find(|(known, _)| *known == name);
                own.expect("a guess of a client without a place").1.charge(10 * DAY, now);
            }
            Place::Admitted(name) => {
                if let Some(admitted) = self.admitted.iter_mut().find(|admitted| admitted.name == name) {
                    admitted.tries -= 1;
                }
            }
            Place::Counted => {}
        }
    }

    /// Records a right guess. Returns whether another client has lost its place.
    pub(super) fn succeed(&mut self, who: Who, now: u64) -> bool {
        if self.since_right < 5 || now.saturating_sub(self.last) >= DAY {
            self.unknown.succeed();
            self.last = 0;
        } else {
            self.unknown.streak = self.unknown.streak.min(12);
        }
        self.since_right = 0;
        who.name().is_some_and(|name| self.learn(name, now))
    }

    fn learn(&mut self, name: u8, now: u64) -> bool {
        if let Some(at) = self.known.iter().position(|(known, _)| *known == name) {
            let mut own = self.known.remove(at);
            own.1.succeed();
            self.known.push(own);
            return false;
        }
        let mut admitted = Counter::default();
        let full = self.known.len() == 5;
        if full {
            let (old, mut left) = self.known.remove(0);
            for flight in self.flights.iter_mut().filter(|flight| flight.place == Place::Known(old)) {
                flight.place = Place::Counted;
                left.drip(10 * DAY, now);
            }
            left.evaporate(now);
            left.drops.truncate(9);
            admitted = Counter { drops: left.drops, dry: left.dry, ..admitted };
        }
        self.known.push((name, admitted));
        full
    }

    pub(super) fn begin(&mut self, id: u8, place: Place, now: u64) {
        self.flights.push(Flight { id, place, at: now });
    }

    pub(super) fn take(&mut self, id: u8) -> Option<Place> {
        let at = self.flights.iter().position(|flight| flight.id == id)?;
        Some(self.flights.remove(at).place)
    }

    pub(super) fn renew(&mut self, changed_by: &[u8]) {
        let mut names = self.known_names();
        names.retain(|name| !changed_by.contains(name));
        names.extend(changed_by);
        let known = names.iter().skip(names.len().saturating_sub(5)).map(|name| (*name, Counter::default())).collect();
        *self = Self { known, ..Self::new(self.guessable) };
    }

    pub(super) fn admit(&mut self, name: u8, now: u64) {
        self.admitted.retain(|admitted| admitted.name != name);
        for flight in self.flights.iter_mut().filter(|flight| flight.place == Place::Admitted(name)) {
            flight.place = Place::Counted;
        }
        self.admitted.push(Admitted { name, tries: 10, until: now + 3600 });
    }

    pub(super) fn unlock(&mut self, now: u64) {
        for flight in self.flights.clone() {
            if let Place::Admitted(_) = flight.place {
                self.charge(flight.place, now);
            }
        }
        self.flights.iter_mut().for_each(|flight| flight.place = Place::Counted);
        self.admitted.retain(|admitted| admitted.tries > 0);
        self.known.iter_mut().for_each(|(_, admitted)| *admitted = Counter::default());
        (self.unknown, self.since_right, self.last) = (Counter::default(), 0, 0);
    }
}

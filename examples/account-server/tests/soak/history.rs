//! What was tried, what was answered, and what is left at the end; and the checker of it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// The wrong guesses at one secret that are looked at before the first wait.
const FREE_GUESSES: usize = 5;
/// The first wait, in seconds. Each later one is longer.
const FIRST_WAIT: u64 = 30;

/// What a client learned of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was looked at, and refused.
    Refused,
    /// It was not looked at: a wait, or a full queue.
    NotLookedAt,
    /// No answer, or one that leaves open what was done.
    Unknown,
}

/// The answers to requests that were sent for one secret, account or vault at the same time.
#[derive(Debug)]
pub(crate) enum Contest {
    /// One code, sent many times. `left` is the number of grants that the server's own count shows at the end. One that
    /// expires may be void for everybody once a server whose clock is off has looked at it.
    Code { name: String, outcomes: Vec<Outcome>, left: Option<usize>, expires: bool },
    /// Wrong guesses at one secret, within this time. `shifted` of them were sent to a server whose clock is off: by its
    /// clock, a wait may be over, or another one than by the clock of the others.
    Guesses { name: String, outcomes: Vec<Outcome>, shifted: usize, took: Duration },
    /// Requests of which each brings another state about from the same earlier one: passwords, challenges,
    /// registrations. `last` are the states that hold at the end, by their number.
    Choice { name: String, before: Option<usize>, tried: Vec<(usize, Outcome)>, last: Vec<usize> },
    /// A vault: ciphers that were written, those that are there at the end, and how many of them do not open.
    Vault { name: String, written: Vec<(String, Outcome)>, present: Vec<String>, unreadable: usize },
    /// A deletion, and whether the account can still be used.
    Deletion { name: String, outcomes: Vec<Outcome>, alive: bool },
}

/// A contradiction between the answers, or between them and what is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anomaly {
    GrantedTwice(String),
    GrantedToNobody(String),
    GrantLost(String),
    BudgetExceeded(String, usize),
    TwoChoices(String),
    ChoiceLost(String),
    WriteLost(String, String),
    MixedVault(String, usize),
    DeletedAndAlive(String),
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrantedTwice(name) => write!(f, "{name}: one code was granted twice"),
            Self::GrantedToNobody(name) => write!(f, "{name}: a right code was refused to everybody"),
            Self::GrantLost(name) => write!(f, "{name}: the code that was granted is still unused"),
            Self::BudgetExceeded(name, looked) => write!(f, "{name}: {looked} guesses were looked at"),
            Self::TwoChoices(name) => write!(f, "{name}: two changes of one state were acknowledged, or hold"),
            Self::ChoiceLost(name) => write!(f, "{name}: the acknowledged change does not hold"),
            Self::WriteLost(name, id) => write!(f, "{name}: cipher {id} was acknowledged and is gone"),
            Self::MixedVault(name, count) => write!(f, "{name}: {count} ciphers do not open under the vault's key"),
            Self::DeletedAndAlive(name) => write!(f, "{name}: a deleted account can be used"),
        }
    }
}

fn count(outcomes: &[Outcome], which: Outcome) -> usize {
    outcomes.iter().filter(|outcome| **outcome == which).count()
}

/// Returns everything that contradicts what the server promises.
pub(crate) fn check(history: &[Contest]) -> Vec<Anomaly> {
    history.iter().flat_map(anomalies).collect()
}

fn anomalies(contest: &Contest) -> Vec<Anomaly> {
    match contest {
        Contest::Code { name, outcomes, left, expires } => code(name, outcomes, *left, *expires),
        Contest::Guesses { name, outcomes, shifted, took } => {
            let looked = count(outcomes, Outcome::Refused) + count(outcomes, Outcome::Done);
            let waits = usize::try_from(took.as_secs().div_euclid(FIRST_WAIT)).unwrap();
            let exceeded = looked > FREE_GUESSES + waits + shifted;
            exceeded.then(|| Anomaly::BudgetExceeded(name.clone(), looked)).into_iter().collect()
        }
        Contest::Choice { name, before, tried, last } => choice(name, *before, tried, last),
        Contest::Vault { name, written, present, unreadable } => {
            let present: BTreeSet<_> = present.iter().collect();
            let lost = written.iter().filter(|(id, outcome)| *outcome == Outcome::Done && !present.contains(id));
            let mut found: Vec<_> = lost.map(|(id, _)| Anomaly::WriteLost(name.clone(), id.clone())).collect();
            if *unreadable > 0 {
                found.push(Anomaly::MixedVault(name.clone(), *unreadable));
            }
            found
        }
        Contest::Deletion { name, outcomes, alive } => {
            let wrong = *alive && outcomes.contains(&Outcome::Done);
            wrong.then(|| Anomaly::DeletedAndAlive(name.clone())).into_iter().collect()
        }
    }
}

fn code(name: &str, outcomes: &[Outcome], left: Option<usize>, expires: bool) -> Vec<Anomaly> {
    let (done, refused) = (count(outcomes, Outcome::Done), count(outcomes, Outcome::Refused));
    let mut found = Vec::new();
    if done > 1 {
        found.push(Anomaly::GrantedTwice(name.to_owned()));
    }
    if done == 0 && refused == outcomes.len() && !expires {
        found.push(Anomaly::GrantedToNobody(name.to_owned()));
    }
    if done > 0 && left == Some(0) {
        found.push(Anomaly::GrantLost(name.to_owned()));
    }
    found
}

fn choice(name: &str, before: Option<usize>, tried: &[(usize, Outcome)], last: &[usize]) -> Vec<Anomaly> {
    let with = |which| tried.iter().filter(move |(_, outcome)| *outcome == which).map(|(state, _)| *state);
    let done: Vec<usize> = with(Outcome::Done).collect();
    let mut found = Vec::new();
    if done.len() > 1 || last.len() > 1 {
        found.push(Anomaly::TwoChoices(name.to_owned()));
    }
    // One that was refused must not hold either.
    let may_hold = match done.as_slice() {
        [] => with(Outcome::Unknown).chain(before).collect(),
        _ => done,
    };
    let must_hold = before.is_some() || with(Outcome::Done).next().is_some();
    if last.iter().any(|state| !may_hold.contains(state)) || (must_hold && last.is_empty()) {
        found.push(Anomaly::ChoiceLost(name.to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Done, NotLookedAt, Refused, Unknown};
    use super::*;

    fn first(contest: Contest) -> Option<Anomaly> {
        check(&[contest]).into_iter().next()
    }

    #[test]
    fn codes_and_guesses() {
        let of = |outcomes: &[Outcome], left, expires| {
            first(Contest::Code { name: "c".into(), outcomes: outcomes.to_vec(), left, expires })
        };
        let code = |outcomes: &[Outcome], left| of(outcomes, left, false);
        assert_eq!(code(&[Done, Refused, Unknown], Some(1)), None);
        assert_eq!(code(&[Unknown, Refused], Some(0)), None);
        assert_eq!(code(&[Done, Done], None), Some(Anomaly::GrantedTwice("c".into())));
        assert_eq!(code(&[Refused, Refused], None), Some(Anomaly::GrantedToNobody("c".into())));
        assert_eq!(of(&[Refused, Refused], None, true), None);
        assert_eq!(of(&[Done, Done], None, true), Some(Anomaly::GrantedTwice("c".into())));
        assert_eq!(code(&[Done], Some(0)), Some(Anomaly::GrantLost("c".into())));
        let guesses = |looked, shifted, seconds| {
            let outcomes = [vec![Refused; looked], vec![NotLookedAt; 7]].concat();
            first(Contest::Guesses { name: "g".into(), outcomes, shifted, took: Duration::from_secs(seconds) })
        };
        assert_eq!((guesses(5, 0, 0), guesses(6, 0, 31), guesses(7, 2, 0)), (None, None, None));
        assert_eq!(guesses(6, 0, 29), Some(Anomaly::BudgetExceeded("g".into(), 6)));
    }

    #[test]
    fn changes() {
        let choice = |before, tried: &[(usize, Outcome)], last: &[usize]| {
            first(Contest::Choice { name: "p".into(), before, tried: tried.to_vec(), last: last.to_vec() })
        };
        assert_eq!(choice(Some(0), &[(1, Done), (2, Refused)], &[1]), None);
        assert_eq!(choice(Some(0), &[(1, Unknown), (2, Refused)], &[0]), None);
        assert_eq!(choice(Some(0), &[(1, Unknown), (2, Refused)], &[1]), None);
        assert_eq!(choice(None, &[(1, Unknown)], &[]), None);
        let lost = Some(Anomaly::ChoiceLost("p".into()));
        assert_eq!(choice(Some(0), &[(1, Done), (2, Unknown)], &[2]), lost);
        assert_eq!(choice(Some(0), &[(1, Refused)], &[1]), lost, "it was refused");
        assert_eq!(choice(None, &[(1, Done)], &[]), lost);
        assert_eq!(choice(None, &[(1, Done), (2, Done)], &[2]), Some(Anomaly::TwoChoices("p".into())));
    }

    #[test]
    fn vaults_and_deletions() {
        let vault = |present: &[&str], unreadable| {
            let written = vec![("a".into(), Done), ("b".into(), Unknown), ("c".into(), Refused)];
            let present = present.iter().map(|id| (*id).to_owned()).collect();
            first(Contest::Vault { name: "v".into(), written, present, unreadable })
        };
        assert_eq!((vault(&["a"], 0), vault(&["a", "b"], 0)), (None, None));
        assert_eq!(vault(&["b"], 0), Some(Anomaly::WriteLost("v".into(), "a".into())));
        assert_eq!(vault(&["a"], 2), Some(Anomaly::MixedVault("v".into(), 2)));
        let deletion = |outcome, alive| first(Contest::Deletion { name: "d".into(), outcomes: vec![outcome], alive });
        assert_eq!((deletion(Done, false), deletion(Unknown, true)), (None, None));
        assert_eq!(deletion(Done, true), Some(Anomaly::DeletedAndAlive("d".into())));
    }
}

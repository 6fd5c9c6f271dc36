//! What a seed decides: which faults strike, and when.

use keywright::core::below;
use keywright_testing::{SeededRng, seeded};

use crate::site::SERVERS;

/// What is done to a server, to the database, or between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A server is killed, and started again at the same address.
    KillServer(usize),
    /// The database ends every connection.
    KillBackends,
    /// The database ends one connection, in the middle of a statement if there is one.
    KillBackend,
    /// The database is stopped at once, and has to recover.
    RestartDatabase,
    /// A commit does not reach the database.
    LoseCommit,
    /// A commit is done, and its reply does not come back.
    LoseReply,
    /// A commit is kept, and its server learns nothing about it.
    DelayCommit,
    /// It arrives after all.
    DeliverLate,
}

/// A fault, so many requests after the last one and so many milliseconds later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strike {
    pub(crate) after: u32,
    pub(crate) later: u64,
    pub(crate) fault: Fault,
}

fn draw(random: &SeededRng, bound: usize) -> usize {
    let bound = u32::try_from(bound).unwrap();
    usize::try_from(below(random, bound).unwrap()).unwrap()
}

/// Returns the faults of a seed. Each kind comes once in every eight.
pub(crate) fn faults(seed: u64, rounds: usize) -> Vec<Strike> {
    let random = seeded(seed);
    let mut plan = Vec::new();
    for _ in 0..rounds {
        let mut kinds = vec![
            Fault::KillServer(draw(&random, SERVERS)),
            Fault::KillBackends,
            Fault::KillBackend,
            Fault::RestartDatabase,
            Fault::LoseCommit,
            Fault::LoseReply,
            Fault::DelayCommit,
            Fault::DeliverLate,
        ];
        while !kinds.is_empty() {
            let fault = kinds.remove(draw(&random, kinds.len()));
            let after = u32::try_from(3 + draw(&random, 10)).unwrap();
            let later = u64::try_from(draw(&random, 20)).unwrap();
            plan.push(Strike { after, later, fault });
        }
    }
    plan
}

#[test]
fn a_seed_decides_everything() {
    let shown = |seed| format!("{:?}", faults(seed, 3));
    assert_eq!(shown(1), shown(1));
    assert_ne!(shown(1), shown(2));
}

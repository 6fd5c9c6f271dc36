//! The configurations that are searched: small ones for every test run, full ones for the proof,
//! and for each seeded fault the configuration that finds it.

use crate::attempt::Act::{
    Change, Create, Edit, End, Erase, Keep, Promote, Redeem, Register, Stage, Touch, Use, Verify,
};
use crate::bugs::Bug;
use crate::promise::Promise;
use crate::search::{Config, Start};

/// Codes and changes under lost replies, lost fences, spurious conflicts and restarts.
fn codes() -> Config {
    Config {
        name: "codes",
        acts: vec![(Redeem, 2), (Change, 1)],
        losses: 2,
        looks: 3,
        conflicts: 1,
        restarts: 1,
        ..Config::default()
    }
}

/// More changes than a root remembers.
fn changes() -> Config {
    Config { name: "changes", acts: vec![(Redeem, 1), (Change, 3)], losses: 2, looks: 3, ..Config::default() }
}

/// A session that is used, renewed and ended while days pass. One clock is three days ahead.
fn sessions() -> Config {
    Config {
        name: "sessions",
        ahead: vec![0, 3],
        start: Start::Session,
        acts: vec![(Touch, 1), (Use, 1), (Change, 1)],
        days: 3,
        sweeps: true,
        late_news: true,
        ..Config::default()
    }
}

/// An expiring record that is kept permanently while it is about to be swept.
fn kept() -> Config {
    Config { name: "kept for good", acts: vec![(Touch, 1), (Keep, 1)], ..sessions() }
}

/// Two creations of one account, with blank roots as fences, and their sweep.
fn creation() -> Config {
    Config {
        name: "creation",
        start: Start::Nothing,
        acts: vec![(Create, 2), (Redeem, 1)],
        losses: 2,
        days: 2,
        sweeps: true,
        late_news: true,
        ..Config::default()
    }
}

/// Accounts that are swept as a whole unless they are verified.
fn registration() -> Config {
    Config { name: "registration", acts: vec![(Register, 2), (Verify, 1)], losses: 1, ..creation() }
}

/// A creation by a driver whose clock stopped days ago.
fn creation_behind() -> Config {
    Config { name: "creation, a clock behind", ahead: vec![0, -3], first_day: 3, losses: 1, days: 0, ..creation() }
}

/// A creation while the clock of the upkeep is ahead, and the horizon with it.
fn creation_upkeep_ahead() -> Config {
    Config { name: "creation, upkeep ahead", upkeep_ahead: 3, days: 0, losses: 1, late_news: false, ..creation() }
}

/// The same for registrations.
fn registration_upkeep_ahead() -> Config {
    Config {
        name: "registration, upkeep ahead",
        upkeep_ahead: 3,
        days: 0,
        losses: 1,
        late_news: false,
        ..registration()
    }
}

/// An erase concurrent with everything else.
fn erasure() -> Config {
    Config {
        name: "erasure",
        start: Start::Session,
        acts: vec![(Redeem, 1), (Change, 1), (Keep, 1), (Erase, 1)],
        ..Config::default()
    }
}

/// The same on a backend that loads in two reads.
fn two_reads() -> Config {
    Config { name: "loads in two reads", two_reads: true, ..erasure() }
}

/// Steps that need a second load.
fn extra_load() -> Config {
    Config {
        name: "a slot loaded later",
        start: Start::Session,
        acts: vec![(Redeem, 2), (Change, 2)],
        extra_load: true,
        ..Config::default()
    }
}

/// A vault that is edited while others stage its replacement.
fn vault() -> Config {
    Config {
        name: "a vault",
        start: Start::Vault,
        acts: vec![(Edit, 1), (Stage, 2), (Promote, 2), (Redeem, 1)],
        ..Config::default()
    }
}

/// Three drivers.
fn three() -> Config {
    Config {
        name: "codes, three",
        ahead: vec![0; 3],
        acts: vec![(Redeem, 2), (Change, 1)],
        losses: 2,
        ..Config::default()
    }
}

/// Returns the small configurations. All of them together take a few seconds, unoptimised.
#[must_use]
pub fn small() -> Vec<Config> {
    vec![
        codes(),
        changes(),
        sessions(),
        kept(),
        creation(),
        registration(),
        creation_behind(),
        creation_upkeep_ahead(),
        registration_upkeep_ahead(),
        erasure(),
        two_reads(),
        extra_load(),
        vault(),
        three(),
    ]
}

/// Returns the full configurations, which take a few minutes, optimised.
#[must_use]
pub fn full() -> Vec<Config> {
    let busy = |config: Config| Config { losses: 3, reruns: 2, looks: 3, restarts: 1, conflicts: 1, ..config };
    vec![
        Config { acts: vec![(Redeem, 3), (Change, 3)], ..busy(codes()) },
        Config { name: "codes, three remembered", depth: 3, acts: vec![(Redeem, 2), (Change, 4)], ..busy(codes()) },
        // Late news of the horizon multiplies the states, so it is combined with fewer acts only.
        Config { acts: vec![(Touch, 1), (Use, 2), (End, 1), (Change, 1), (Keep, 1)], late_news: false, ..sessions() },
        Config { name: "sessions, news late", acts: vec![(Touch, 1), (Use, 1), (End, 1), (Keep, 1)], ..sessions() },
        Config { acts: vec![(Touch, 2), (Keep, 1), (Erase, 1), (Change, 1)], losses: 2, late_news: false, ..kept() },
        Config { name: "kept for good, news late", acts: vec![(Touch, 2), (Keep, 1)], ..kept() },
        Config {
            name: "sessions, upkeep ahead",
            ahead: vec![0, 0],
            upkeep_ahead: 3,
            acts: vec![(Touch, 2), (Keep, 1), (Use, 1), (End, 1)],
            losses: 2,
            days: 1,
            late_news: false,
            ..sessions()
        },
        Config { acts: vec![(Create, 2), (Redeem, 2), (Change, 1)], reruns: 1, late_news: false, ..busy(creation()) },
        Config { name: "creation, news late", acts: vec![(Create, 2), (Redeem, 1)], looks: 3, ..creation() },
        Config {
            acts: vec![(Register, 2), (Verify, 1), (Create, 1), (Redeem, 1)],
            losses: 2,
            looks: 3,
            restarts: 1,
            late_news: false,
            ..registration()
        },
        Config {
            acts: vec![(Create, 2), (Redeem, 1), (Change, 1)],
            days: 2,
            late_news: false,
            ..busy(creation_behind())
        },
        Config {
            name: "creation, a clock behind, news late",
            acts: vec![(Create, 2), (Redeem, 1)],
            losses: 2,
            days: 1,
            ..creation_behind()
        },
        Config { acts: vec![(Create, 2), (Redeem, 1)], losses: 2, restarts: 1, ..creation_upkeep_ahead() },
        Config { acts: vec![(Register, 2), (Verify, 1)], losses: 2, ..registration_upkeep_ahead() },
        Config { acts: vec![(Redeem, 2), (Change, 1), (Keep, 1), (Use, 1), (Erase, 1)], reruns: 1, ..busy(erasure()) },
        Config {
            acts: vec![(Redeem, 2), (Change, 1), (Keep, 1), (End, 1), (Erase, 1)],
            losses: 2,
            reruns: 2,
            ..two_reads()
        },
        Config {
            acts: vec![(Redeem, 2), (Change, 2), (Keep, 1), (End, 1), (Erase, 1)],
            losses: 2,
            reruns: 2,
            ..extra_load()
        },
        // Staging needs no driver, so it can come between any two transitions and multiplies the
        // states.
        Config {
            acts: vec![(Edit, 2), (Stage, 2), (Promote, 2), (Erase, 1), (Change, 1)],
            losses: 2,
            looks: 3,
            restarts: 1,
            ..vault()
        },
        Config {
            name: "a vault, three",
            ahead: vec![0; 3],
            acts: vec![(Edit, 2), (Stage, 2), (Promote, 2)],
            losses: 2,
            ..vault()
        },
        Config { acts: vec![(Redeem, 3), (Change, 3)], ..busy(three()) },
        Config {
            name: "sessions, three",
            ahead: vec![0, 0, 3],
            acts: vec![(Touch, 1), (Use, 1), (End, 1), (Keep, 1)],
            late_news: false,
            ..sessions()
        },
        Config {
            name: "creation, three",
            ahead: vec![0; 3],
            acts: vec![(Create, 3), (Redeem, 1), (Change, 1)],
            losses: 3,
            looks: 3,
            late_news: false,
            ..creation()
        },
    ]
}

/// Returns, for a seeded fault, the configuration that finds it and the promises that it breaks
/// there.
#[must_use]
pub fn seeded(bug: Bug) -> (Config, Vec<Promise>) {
    use Promise::{
        AcknowledgedStays, GrantedOnce, Integrity, LandedOnce, RefusedNeverLands, RestsOnWhatStands,
        SettledStaysSettled, ToldOnce, UnknownOnlyBeyond,
    };
    let (config, promises) = match bug {
        Bug::NoFence => (codes(), vec![SettledStaysSettled, LandedOnce, RefusedNeverLands]),
        Bug::SilentFence => (codes(), vec![SettledStaysSettled, LandedOnce, RefusedNeverLands, UnknownOnlyBeyond]),
        Bug::SettleByAbsence => (changes(), vec![SettledStaysSettled, LandedOnce, RefusedNeverLands]),
        Bug::ShortRecent => (changes(), vec![UnknownOnlyBeyond]),
        Bug::RecentDropsNewest => (changes(), vec![SettledStaysSettled, LandedOnce, RefusedNeverLands]),
        Bug::SweepInTwoStatements => (kept(), vec![Integrity, AcknowledgedStays]),
        Bug::PruneAndPut => (kept(), vec![Integrity, AcknowledgedStays]),
        Bug::EraseTakesPuts => (erasure(), vec![Integrity]),
        Bug::PruneByOwnClock => (sessions(), vec![AcknowledgedStays]),
        Bug::PruneLeavesRow => (sessions(), vec![Integrity]),
        Bug::NoSecondLook | Bug::BlindSecondLook => (two_reads(), vec![Integrity]),
        Bug::Replica => (
            Config { acts: vec![(Use, 1), (End, 1)], days: 0, ahead: vec![0, 0], ..sessions() },
            vec![RestsOnWhatStands],
        ),
        Bug::CreationWithoutFence => (registration(), vec![SettledStaysSettled, LandedOnce, RefusedNeverLands]),
        Bug::StatementOutlivesSweep => (registration(), vec![SettledStaysSettled, LandedOnce, RefusedNeverLands]),
        Bug::BlankRootByOwnClock => (creation_behind(), vec![SettledStaysSettled, RefusedNeverLands]),
        Bug::ExpiryAsGiven => (creation_behind(), vec![SettledStaysSettled, RefusedNeverLands]),
        Bug::KeepsOldRows => (extra_load(), vec![GrantedOnce, AcknowledgedStays, RestsOnWhatStands]),
        Bug::EventNumberReused => (codes(), vec![ToldOnce]),
        Bug::EventBeforeTheGuard => (codes(), vec![ToldOnce, Integrity]),
        Bug::PromotesOtherBase => (vault(), vec![RestsOnWhatStands]),
        Bug::PromotionForgetsHead => (vault(), vec![Integrity]),
    };
    (config.with(bug), promises)
}

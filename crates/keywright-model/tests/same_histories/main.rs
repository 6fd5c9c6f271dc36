//! The model and the real code run through the same random histories. After every step, the
//! partition, the commits in flight, what each driver waits for, and the answers to callers are the
//! same.
//!
//! So the model's opening, deciding, batching, pruning, fencing, settling, second read and sweep
//! behave like `keywright_store`'s `Driver` and `MemoryStore`. The model remembers three revisions
//! and the real root sixteen, so a history ends where the model would answer "unknown" because it
//! remembers fewer.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

mod gate;
mod real;
mod seen;
mod vault;

use keywright_model::coverage::Event;
use keywright_model::driver::Phase;
use keywright_model::model::{Action, Config, Search, Start};
use keywright_model::step::Act;
use keywright_model::world::{Rev, World};
use stateright::Model;

use crate::real::Real;
use crate::seen::Seen;

/// What histories are made of: everything, often.
fn everything(acts: &[Act]) -> Config {
    Config {
        depth: 3,
        acts: acts.iter().map(|&act| (act, 40)).collect(),
        losses: 40,
        reruns: 16,
        looks: 4,
        conflicts: 20,
        restarts: 4,
        ..Config::default()
    }
}

fn configs() -> Vec<Config> {
    use Act::{Change, Create, Edit, End, Erase, Keep, Promote, Redeem, Register, Stage, Touch, Use, Verify};
    let all = everything(&[Redeem, Change, Touch, Keep, End, Use, Erase, Create, Register, Verify]);
    // A vault's states are one-byte numbers, and each promotion adds sixteen.
    let vaults = |acts: &[Act]| {
        let mut config = Config { start: Start::Vault, ..everything(acts) };
        config.acts.extend([(Edit, 40), (Stage, 40), (Promote, 10)]);
        config
    };
    let upkeep = Config { days: 12, sweeps: true, late_news: true, ..all.clone() };
    let steady = everything(&[Redeem, Change, Touch, Keep, End, Use, Erase]);
    vec![
        Config { name: "an account", start: Start::Session, ..all.clone() },
        Config { name: "three drivers", ahead: vec![0; 3], start: Start::Session, ..all },
        Config { name: "from nothing", start: Start::Nothing, ..upkeep.clone() },
        Config { name: "clocks apart", start: Start::Session, ahead: vec![-3, 0, 3], first_day: 4, ..upkeep.clone() },
        Config {
            name: "clocks apart, from nothing",
            start: Start::Nothing,
            ahead: vec![-3, 2],
            first_day: 4,
            ..upkeep.clone()
        },
        Config { name: "upkeep ahead", start: Start::Nothing, upkeep_ahead: 4, ..upkeep.clone() },
        Config { name: "the horizon heard at once", start: Start::Session, late_news: false, ..upkeep },
        Config { name: "a vault", ahead: vec![0; 3], ..vaults(&[Redeem, Change]) },
        Config { name: "a vault that is erased", ..vaults(&[Erase, Create, Touch]) },
        Config { name: "two reads", start: Start::Session, two_reads: true, ..steady.clone() },
        Config {
            name: "a slot loaded later",
            start: Start::Session,
            extra_load: true,
            days: 12,
            sweeps: true,
            ..steady
        },
    ]
}

struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(most).unwrap()).unwrap()
    }
}

/// Whether a driver settles a creation. None does so for longer than a partition lives, so the
/// model holds the sweep back until it is done. The real store cannot know this, so the sweep is
/// not run there.
fn settles_a_creation(world: &World) -> bool {
    world.drivers.iter().any(|driver| {
        matches!(driver.phase, Phase::Settling { loaded: Rev::ZERO, .. } | Phase::Fencing { loaded: Rev::ZERO, .. })
    })
}

fn take(real: &mut Real, before: &World, config: &Config, action: Action) {
    match action {
        Action::Begin(driver, act) => real.begin(driver, act),
        Action::Load(driver) => {
            let first = matches!(before.drivers[driver].phase, Phase::Loading { .. });
            real.load(driver, first);
        }
        Action::Commit(driver) => real.commit(driver),
        Action::Lose(driver) => real.lose(driver),
        Action::Refuse(driver) => real.refuse(driver),
        Action::Restart(driver) => real.restart(driver),
        Action::Land(held) => real.land(held),
        Action::Day => real.pass_a_day(),
        Action::Sweep => real.sweep(config.upkeep_ahead),
        Action::SweepInTime => real.sweep(0),
        Action::Hear(driver) => real.hear(driver),
        Action::Choose | Action::Delete | Action::Replicate => panic!("only faults do {action:?}"),
    }
}

/// One history. Returns how many steps it took.
fn follow(search: &Search, seed: u64, steps: usize) -> usize {
    let mut random = SplitMix(seed);
    let (config, coverage) = (search.config(), search.coverage());
    let mut world = search.init_states().pop().unwrap();
    let mut real = Real::new(config);
    let mut history = Vec::new();
    assert_eq!(real.seen(), Seen::of(&world), "at the start");
    while history.len() < steps {
        let mut actions = Vec::new();
        search.actions(&world, &mut actions);
        let action = actions[random.below(actions.len())];
        if matches!(action, Action::Sweep | Action::SweepInTime) && settles_a_creation(&world) {
            continue;
        }
        let unknown = coverage.count(Event::Unknown);
        coverage.take_answer();
        let Some(next) = search.next_state(&world, action) else { continue };
        if coverage.count(Event::Unknown) > unknown {
            break;
        }
        history.push(action);
        real.answer = None;
        take(&mut real, &world, config, action);
        assert_eq!(real.answer, coverage.take_answer(), "{}, seed {seed}: {history:?}", config.name);
        let (shown, expected) = (real.seen(), Seen::of(&next));
        assert_eq!(shown, expected, "{}, seed {seed}: {history:?}", config.name);
        assert_eq!(next.broken, 0, "{}, seed {seed}: {history:?}", config.name);
        world = next;
    }
    history.len()
}

/// Returns how many histories of each kind to run, and the first seed, from the environment
/// variables `KEYWRIGHT_HISTORIES` and `KEYWRIGHT_SEED`. They serve to run a full proof, or to
/// repeat a failure.
fn seeds() -> (u64, u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    (number("KEYWRIGHT_HISTORIES").unwrap_or(8).max(8), number("KEYWRIGHT_SEED").unwrap_or(0))
}

#[test]
fn the_model_and_the_real_code_go_through_the_same_histories() {
    let mut met = [0; Event::ALL.len()];
    let mut steps = 0;
    let (seeds, first) = seeds();
    for config in configs() {
        let search = Search::unmerged(config);
        steps += (first..first + seeds).map(|seed| follow(&search, seed, 120)).sum::<usize>();
        for (event, met) in Event::ALL.into_iter().zip(&mut met) {
            *met += search.coverage().count(event);
        }
    }
    assert!(steps > 4_000, "{steps}");
    for (event, met) in Event::ALL.into_iter().zip(met) {
        // Sixteen reruns do not occur by chance, and `Busy` is the answer after them.
        assert!(met > 0 || event == Event::Busy, "no history meets {event:?}");
    }
}

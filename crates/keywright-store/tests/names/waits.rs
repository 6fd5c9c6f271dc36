//! When a provisional name is free again, for any history of clocks: not before the reported time,
//! and from then on for any account.

use keywright_core::{AccountId, Clock, UnixSeconds};
use keywright_store::Draft;
use keywright_store::names;
use proptest::prelude::*;

use crate::world::{Ended, NAMES, World, id, memory};

const START: u64 = keywright_testing::World::START;
const TEN_YEARS: i64 = 10 * 365 * 86_400;

#[derive(Debug, Clone, Copy)]
enum Step {
    Clock(i64),
    /// An account registers that has not proven itself, and learns how long it has.
    Register(u64),
    /// A proven account takes the name, and keeps it if `true`; otherwise it gives it up again.
    Acquire(bool),
    /// The holder of the name proves itself.
    Prove,
    /// The holder of the name gives it up.
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    let jump = prop_oneof![
        4 => prop::sample::select(vec![1, 59, 60, 61, 3_599, 3_600, 3_601, 7_200, 86_400]),
        4 => prop::sample::select(vec![-1, -60, -61, -3_599, -3_600, -3_601, -7_200, -86_400]),
        1 => prop::sample::select(vec![TEN_YEARS, -TEN_YEARS]),
    ];
    prop_oneof![
        6 => jump.prop_map(Step::Clock),
        4 => prop::sample::select(vec![1_u64, 60, 3_600, 86_400]).prop_map(Step::Register),
        3 => any::<bool>().prop_map(Step::Acquire),
        1 => Just(Step::Prove),
        1 => Just(Step::Release),
    ]
}

/// Who has the name.
#[derive(Debug, Clone)]
struct Holder {
    account: AccountId,
    since: UnixSeconds,
    /// When the name was reported to be free again; `None`: never.
    until: Option<UnixSeconds>,
}

struct History {
    world: World,
    accounts: Vec<AccountId>,
    holder: Option<Holder>,
}

impl History {
    fn now(&self) -> UnixSeconds {
        self.world.clock.now().unwrap()
    }

    /// Whether the next account gets the name, by what was reported. A holder from a time that is
    /// further away than all the time that it was given has lapsed too, because its clock ran
    /// ahead.
    fn is_free(&self) -> bool {
        let now = self.now();
        self.holder.as_ref().is_none_or(|holder| {
            holder.until.is_some_and(|until| now >= until || holder.since > now.plus(until.since(holder.since)))
        })
    }

    fn newcomer(&mut self) -> AccountId {
        let account = id(&format!("account-{}", self.accounts.len()));
        self.accounts.push(account.clone());
        account
    }

    fn expected(&self) -> Ended {
        if self.is_free() { Ended::Took } else { Ended::Taken }
    }

    async fn acquire(&mut self) {
        let account = self.newcomer();
        let (server, expected) = (self.world.truth(), self.expected());
        server.create(&account).await;
        let ended = server.acquire(&account, self.world.name, None).await.unwrap();
        assert_eq!(ended, expected, "{:?} at {}", self.holder, self.now());
        if ended == Ended::Took {
            self.holder = Some(Holder { account, since: self.now(), until: None });
        }
    }

    async fn release(&mut self) {
        let Some(holder) = self.holder.take() else { return };
        let step = |draft: &mut Draft<'_>| names::release(draft, &self.world.name);
        let server = self.world.truth();
        let released = server.driver.run(&(&holder.account).into(), NAMES, step).await.unwrap().unwrap();
        server.names.drop_claim(&released).await.unwrap();
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Clock(seconds) => {
                let to = self.now().get().saturating_add_signed(seconds).clamp(START / 2, START * 5);
                self.world.clock.set(UnixSeconds::new(to).unwrap());
            }
            Step::Register(life) => {
                let (account, now, expected) = (self.newcomer(), self.now(), self.expected());
                let until = now.plus(life);
                let ended = self.world.truth().register(&account, self.world.name, until).await.unwrap();
                assert_eq!(ended, expected, "{:?} at {now}", self.holder);
                if ended == Ended::Took {
                    self.holder = Some(Holder { account, since: now, until: Some(until) });
                }
            }
            Step::Acquire(for_good) => {
                self.acquire().await;
                if !for_good {
                    self.release().await;
                }
            }
            Step::Prove => {
                if let Some(holder) = &mut self.holder {
                    let step = |draft: &mut Draft<'_>| names::make_permanent(draft, &self.world.name);
                    let server = self.world.truth();
                    assert!(server.driver.transact(&(&holder.account).into(), NAMES, step).await.unwrap());
                    holder.until = None;
                }
            }
            Step::Release => self.release().await,
        }
        // Somebody has it until somebody comes, and nobody else.
        let owner = self.world.owner(&self.accounts).await;
        assert_eq!(owner.as_ref(), self.holder.as_ref().map(|holder| &holder.account));
    }

    /// Whatever the clocks have left: a name whose holder never proves itself is free when its time has come, and for good:
    /// the clock may go on.
    async fn finish(mut self, later: u64) {
        let Some(until) = self.holder.as_ref().and_then(|holder| holder.until) else { return };
        self.world.clock.set(until.max(self.now()).plus(later));
        assert!(self.is_free());
        self.acquire().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_provisional_name_is_free_when_it_was_told(
        seed in any::<u64>(), steps in prop::collection::vec(step(), 1..40), later in 0..100_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new(seed, memory());
            let mut history = History { world, accounts: Vec::new(), holder: None };
            for step in steps {
                history.run(step).await;
            }
            history.finish(later).await;
        });
    }
}

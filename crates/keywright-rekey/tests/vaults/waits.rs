//! A staged vault expires when it was reported to expire, for any history of clocks, whether it is
//! held or arrives in parts.

use keywright_core::{Clock, UnixSeconds};
use keywright_rekey::{Coverage, HoldOutcome, PartOutcome, Swap, UploadStart, Vaults};
use keywright_store::{Draft, StageId};
use proptest::prelude::*;

use crate::world::{CLIENT_SLOTS, NOW, World, body, id, set_key, submission, text};

const TEN_YEARS: i64 = 10 * 365 * 86_400;
const CIPHERS: u32 = 2;

#[derive(Debug, Clone, Copy)]
enum Step {
    Clock(i64),
    /// A vault is held for this many seconds.
    Hold(u64),
    /// An upload of a whole vault begins, which can be finished within this many seconds.
    Upload(u64),
    /// The fixture checks whether the held vault could be promoted, and does nothing.
    Look,
    /// It is promoted, or dropped.
    End,
}

fn jump() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => prop::sample::select(vec![1, 59, 60, 61, 599, 600, 601, 3_600, 4_200, 86_400]),
        4 => prop::sample::select(vec![-1, -59, -60, -61, -599, -600, -3_600, -86_400]),
        1 => prop::sample::select(vec![TEN_YEARS, -TEN_YEARS]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let life = || prop::sample::select(vec![1_u64, 60, 600, 86_400]);
    prop_oneof![
        6 => jump().prop_map(Step::Clock),
        3 => life().prop_map(Step::Hold),
        2 => life().prop_map(Step::Upload),
        3 => Just(Step::Look),
        2 => Just(Step::End),
    ]
}

/// What is staged: when it was made, and the expiry that was reported.
#[derive(Debug, Clone, Copy)]
struct Announced {
    /// The upload's identifier, or `None` for a held vault.
    upload: Option<StageId>,
    made: UnixSeconds,
    until: UnixSeconds,
    generation: u32,
}

struct History {
    world: World,
    vaults: Vaults,
    generation: u32,
    announced: Option<Announced>,
}

impl History {
    async fn new() -> Self {
        let world = World::memory();
        let vaults = world.register(CIPHERS).await;
        Self { world, vaults, generation: 1, announced: None }
    }

    fn now(&self) -> UnixSeconds {
        self.world.clock.now().unwrap()
    }

    fn jump(&self, seconds: i64) {
        let to = self.now().get().saturating_add_signed(seconds).clamp(NOW / 2, NOW * 5);
        self.world.clock.set(UnixSeconds::new(to).unwrap());
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Clock(seconds) => self.jump(seconds),
            Step::Hold(life) => self.hold(life).await,
            Step::Upload(life) => self.upload(life).await,
            Step::Look => self.look().await,
            Step::End => self.end().await,
        }
    }

    fn next(&mut self) -> u32 {
        self.generation += 1;
        self.generation
    }

    async fn hold(&mut self, life: u64) {
        let (generation, made) = (self.next(), self.now());
        let sealed = self.world.sealed(&self.vaults, generation).await;
        let staged = self.vaults.stage(sealed, made.plus(life)).await.unwrap();
        let step = |draft: &mut Draft<'_>| self.vaults.steps().hold_in(draft, &staged);
        let held = self.vaults.driver().transact(&self.world.partition(), &[], step).await.unwrap();
        assert_eq!(held, HoldOutcome::Held);
        self.announced = Some(Announced { upload: None, made, until: staged.until(), generation });
    }

    async fn upload(&mut self, life: u64) {
        let (generation, made) = (self.next(), self.now());
        let until = made.plus(life);
        let begun = self.vaults.begin_upload(&self.world.account, None, until).await.unwrap();
        let UploadStart::Begun { upload, .. } = begun else { panic!("{begun:?}") };
        let part = body((0..CIPHERS).map(|number| (id(number), text(generation, 0))));
        let kept = self.vaults.put_part(&self.world.account, upload, &submission(&part)).await.unwrap();
        assert!(matches!(kept, PartOutcome::Kept { .. }));
        self.announced = Some(Announced { upload: Some(upload), made, until, generation });
    }

    /// Whether what is staged is valid now, as was reported: from when it was made to its end, and
    /// at no other time.
    fn is_good(&self) -> bool {
        self.announced.is_some_and(|announced| (announced.made..announced.until).contains(&self.now()))
    }

    async fn look(&self) {
        let account = &self.world.account;
        match self.announced {
            Some(Announced { upload: Some(upload), .. }) => {
                let there = self.vaults.uploaded(account, upload).await.unwrap();
                assert_eq!(there.is_some(), self.is_good(), "{:?} at {}", self.announced, self.now());
            }
            _ => {
                let covered = self.vaults.covered(account).await.unwrap();
                let is_right = match covered {
                    Coverage::Covered(_) => self.is_good(),
                    Coverage::Void(_) => self.announced.is_some() && !self.is_good(),
                    Coverage::Nothing => self.announced.is_none(),
                    _ => false,
                };
                assert!(is_right, "{covered:?} of {:?} at {}", self.announced, self.now());
            }
        }
    }

    async fn end(&mut self) {
        let good = self.is_good();
        let Some(announced) = self.announced.take() else { return };
        let account = &self.world.account;
        let set = |draft: &mut Draft<'_>| set_key(draft, announced.generation);
        let ended = match announced.upload {
            Some(upload) => self.vaults.finish_upload(account, upload, CLIENT_SLOTS, set).await.unwrap(),
            None => self.vaults.promote(account, CLIENT_SLOTS, set).await.unwrap(),
        };
        assert_eq!(matches!(ended, Swap::Done { .. }), good, "{ended:?} of {announced:?} at {}", self.now());
        if let (false, Some(_)) = (good, announced.upload) {
            // An expired upload is not dropped itself; only the next upload and the sweep remove
            // it.
            assert!(matches!(ended, Swap::Nothing), "{ended:?}");
            self.announced = Some(announced);
            return;
        }
        assert!(good || matches!(ended, Swap::Void), "{ended:?}");
        assert_eq!(self.world.generation().await == announced.generation, good);
        // Nor does it become valid again with the clock.
        let again = match announced.upload {
            Some(upload) => self.vaults.finish_upload(account, upload, CLIENT_SLOTS, set).await.unwrap(),
            None => self.vaults.promote(account, CLIENT_SLOTS, set).await.unwrap(),
        };
        assert!(matches!(again, Swap::Nothing), "{again:?}");
        self.world.check().await;
    }

    /// What is staged now, by a clock that is right from now on, is valid for as long as was
    /// reported and no longer, and a sweep after its end leaves nothing of it.
    async fn finish(mut self, life: u64, last_second: bool) {
        for upload in [false, true] {
            if upload {
                self.upload(life).await
            } else {
                self.hold(life).await
            }
            self.world.clock.advance(life - u64::from(last_second));
            self.look().await;
            assert_eq!(self.is_good(), last_second);
            self.end().await;
        }
        self.hold(life).await;
        let over = self.now().plus(life + 3_601);
        self.world.clock.set(over);
        assert!(self.world.sweep(over).await > 0);
        assert!(matches!(self.vaults.covered(&self.world.account).await.unwrap(), Coverage::Nothing));
        self.world.check().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_staged_ends_when_it_was_told(
        steps in prop::collection::vec(step(), 1..40),
        life in prop::sample::select(vec![1_u64, 600, 86_400]),
        last_second in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut history = History::new().await;
            for step in steps {
                history.run(step).await;
            }
            history.finish(life, last_second).await;
        });
    }
}

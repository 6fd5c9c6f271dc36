//! Random histories against a few plain invariants:
//! - no (secret, step) is ever accepted twice, whatever devices are added and removed and however
//!   the clock jumps;
//! - accepted steps of a secret only ever grow;
//! - no history of failures, successes and changes of devices gains guesses at what is enrolled:
//!   the ledger's limit holds until the last secret is removed.

use std::collections::BTreeMap;

use keywright_core::SessionId;
use keywright_twofactor::{DeviceId, EnrolmentOutcome};
use proptest::prelude::*;

use crate::support::{Outcome, SESSION, START, UNKNOWN, World, code};

#[derive(Debug, Clone)]
enum Act {
    /// The code of a seed, this many steps from now.
    Right {
        seed: u8,
        offset: i8,
    },
    /// A code that no device of the test shows, except by chance.
    Wrong(u32),
    Import(u8),
    Remove(u8),
    /// Begins and confirms an enrolment, which replaces a device or adds one.
    Enrol(Option<u8>),
    /// Uses the last code that was accepted again.
    Replay,
    Jump(i64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..4_u8, -2..=2_i8).prop_map(|(seed, offset)| Act::Right { seed, offset }),
        3 => (0..1_000_000_u32).prop_map(Act::Wrong),
        2 => (0..4_u8).prop_map(Act::Import),
        1 => (0..5_u8).prop_map(Act::Remove),
        1 => proptest::option::of(0..5_u8).prop_map(Act::Enrol),
        3 => Just(Act::Replay),
        3 => prop_oneof![0..40_i64, -40..0_i64, Just(3_600), Just(-3_600), Just(315_360_000), Just(-315_360_000)]
            .prop_map(Act::Jump),
    ]
}

/// What a history has accepted.
#[derive(Default)]
struct Book {
    /// The highest accepted step by secret.
    highest: BTreeMap<Vec<u8>, u64>,
    last: Option<String>,
}

impl Book {
    /// Records that a code was accepted; its owner follows from the secrets in use.
    fn accepted(&mut self, secrets: &[Vec<u8>], typed: &str, now: u64) -> Result<(), TestCaseError> {
        let present = now / 30;
        let shown = |secret: &Vec<u8>| {
            let steps = present.saturating_sub(1)..=present + 1;
            steps.filter(|step| code(secret, step * 30) == typed).max().map(|step| (secret.clone(), step))
        };
        let matching: Vec<_> = secrets.iter().filter_map(shown).collect();
        prop_assert!(!matching.is_empty(), "a code was accepted that no device shows");
        let fresh = matching.iter().any(|(secret, step)| self.highest.get(secret).is_none_or(|last| step > last));
        prop_assert!(fresh, "a step was accepted twice");
        for (secret, step) in matching {
            let last = self.highest.entry(secret).or_insert(step);
            *last = step.max(*last);
        }
        self.last = Some(typed.into());
        Ok(())
    }
}

fn seed(nth: u8) -> Vec<u8> {
    vec![nth + 1; 20]
}

/// The active devices: ids and secrets, as the test knows them.
type Devices = Vec<(DeviceId, Vec<u8>)>;

async fn enrol(world: &World, devices: &mut Devices, book: &mut Book, at: Option<u8>) -> Result<(), TestCaseError> {
    let replaced = at.and_then(|at| devices.get(usize::from(at))).map(|(id, _)| *id);
    let begun = world.begin_enrolment(SessionId::new(SESSION), "new", replaced).await.unwrap();
    let keywright_twofactor::EnrolmentStart::Begun(pending) = begun else { return Ok(()) };
    let secret = pending.secret().expose().to_vec();
    let typed = code(&secret, world.now());
    if let EnrolmentOutcome::Active(id) =
        world.service.confirm_without_codes(&world.account, SessionId::new(SESSION), &typed, UNKNOWN).await.unwrap()
    {
        devices.retain(|(id, _)| Some(*id) != replaced);
        devices.push((id, secret.clone()));
        let secrets: Vec<_> = devices.iter().map(|(_, secret)| secret.clone()).collect();
        book.accepted(&secrets, &typed, world.now())?;
    }
    Ok(())
}

async fn history(acts: &[Act]) -> Result<(), TestCaseError> {
    let world = World::new().await;
    let (mut devices, mut book, mut charges) = (Devices::new(), Book::default(), 0_u64);
    let mut latest = START;
    for act in acts {
        let typed = match act {
            Act::Right { seed: nth, offset } => {
                let at = world.now().saturating_add_signed(i64::from(*offset) * 30);
                code(&seed(*nth), at)
            }
            Act::Wrong(number) => format!("{number:06}"),
            Act::Replay => book.last.clone().unwrap_or_else(|| "000000".into()),
            Act::Import(nth) if devices.len() < 5 => {
                devices.push((world.import("imported", &seed(*nth)).await, seed(*nth)));
                continue;
            }
            Act::Import(_) => continue,
            Act::Remove(at) => {
                if usize::from(*at) < devices.len() {
                    let (id, _) = devices.remove((*at).into());
                    prop_assert!(world.remove_device(id).await.unwrap());
                    // The secrets at which guesses were made are gone, and with them the count.
                    charges = if devices.is_empty() { 0 } else { charges };
                }
                continue;
            }
            Act::Enrol(at) => {
                let before: Vec<DeviceId> = devices.iter().map(|(id, _)| *id).collect();
                enrol(&world, &mut devices, &mut book, *at).await?;
                charges = if devices.iter().any(|(id, _)| before.contains(id)) { charges } else { 0 };
                continue;
            }
            Act::Jump(seconds) => {
                world.set(world.now().saturating_add_signed(*seconds));
                latest = latest.max(world.now());
                continue;
            }
        };
        let outcome = world.totp(&typed).await;
        let secrets: Vec<_> = devices.iter().map(|(_, secret)| secret.clone()).collect();
        match outcome {
            Outcome::Granted(drift) => {
                prop_assert!((-1..=1).contains(&drift));
                book.accepted(&secrets, &typed, world.now())?;
            }
            Outcome::Charged(_) => charges += 1,
            Outcome::NotEnrolled => prop_assert!(secrets.is_empty()),
            Outcome::Replayed | Outcome::Refused(_) | Outcome::Malformed => {}
        }
    }
    // 50 failures of unknown clients, and one every two days of the time that has passed.
    let days = (latest - START) / 86_400;
    prop_assert!(charges <= 51 + days / 2, "{charges} guesses in {days} days");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn rfc_6238_5_2_no_step_is_ever_accepted_twice(acts in proptest::collection::vec(act(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(history(&acts))?;
    }
}

/// An attacker waits out every wait for a year while the owner logs in daily: 50 guesses and one
/// every two days are checked, 232, and new devices give none back.
#[tokio::test]
async fn no_history_gains_guesses() {
    let world = World::new().await;
    let owner = seed(9);
    let mut phone = world.import("phone", &owner).await;
    let mut charges = 0;
    while world.now() < START + 365 * 86_400 {
        match world.totp(&crate::support::wrong(&[&owner], world.now())).await {
            Outcome::Charged(_) => charges += 1,
            Outcome::Refused(wait) => {
                world.advance(wait);
                world.totp(&code(&owner, world.now())).await; // lowers the streak, not the level
                if charges % 50 == 0 {
                    let next = world.import("phone", &owner).await;
                    world.remove_device(phone).await.unwrap();
                    phone = next;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((200..=232).contains(&charges), "{charges}");
}

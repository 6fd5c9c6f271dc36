//! `docs/security.md` § 12: after any history of clock jumps, every reported wait ends when it was
//! reported to end.

use keywright_confirm::ConfirmPolicy;
use keywright_core::{Client, SessionId};
use proptest::prelude::*;

use crate::support::{DELETE, Delete, Mailed, Outcome, World, wrong};

#[derive(Debug, Clone, Copy)]
enum Step {
    Clock(i64),
    BeginCode(u8),
    BeginMailed(u8),
    Resend,
    WrongMailed(u8),
    WrongCode(u8),
    BeginWait(u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let jump = prop::sample::select(vec![
        1,
        -1,
        29,
        60,
        -60,
        599,
        601,
        3_600,
        -3_600,
        86_399,
        86_400,
        -86_400,
        315_576_000,
        -315_576_000,
        3_155_760_000,
    ]);
    let session = || 0..4_u8;
    prop_oneof![
        4 => jump.prop_map(Step::Clock),
        1 => session().prop_map(Step::BeginCode),
        4 => session().prop_map(Step::BeginMailed),
        2 => Just(Step::Resend),
        4 => session().prop_map(Step::WrongMailed),
        1 => session().prop_map(Step::WrongCode),
        2 => session().prop_map(Step::BeginWait),
        2 => session().prop_map(Step::Wait),
    ]
}

async fn history(seed: u64, day: bool, steps: Vec<Step>) -> World {
    let seconds = if day { 86_400 } else { 600 };
    let world = World::with(ConfirmPolicy::builder().mailed_seconds(seconds).build().unwrap(), seed).await;
    let mut outcome = [None; 4];
    for step in steps {
        match step {
            Step::Clock(jump) => world.set(world.now().saturating_add_signed(jump)),
            Step::BeginCode(session) => drop(world.begin_code(&DELETE, SessionId::new([session])).await),
            Step::BeginMailed(session) => drop(world.begin_mailed(&DELETE, SessionId::new([session])).await),
            Step::Resend => drop(world.confirmations.resend::<Delete>(&world.account, None).await.unwrap()),
            Step::WrongMailed(session) => drop(world.mailed(DELETE, SessionId::new([session]), "000000").await),
            Step::WrongCode(session) => {
                world.code(DELETE, SessionId::new([session]), "AAAA-AAAA-AAAA-AAAA").await;
            }
            Step::BeginWait(session) => {
                let wait =
                    world.confirmations.begin_wait(&world.account, &DELETE, SessionId::new([session])).await.unwrap();
                outcome[usize::from(session)] = Some((wait.earliest().get(), wait.latest().get()));
            }
            Step::Wait(session) => {
                // The wait is granted in the time that was reported, and at no other; otherwise it
                // begins again. A wait begun by a clock that ran ahead may be void.
                let begun = outcome[usize::from(session)].take();
                let in_time = begun.is_some_and(|(earliest, latest)| (earliest..latest).contains(&world.now()));
                match world.wait(DELETE, SessionId::new([session])).await {
                    None => assert!(in_time, "{begun:?} at {}", world.now()),
                    Some((_, earliest)) => outcome[usize::from(session)] = Some((earliest, earliest + 60)),
                }
            }
        }
    }
    world
}

/// Requests mails twice: a refusal that had to correct a stored time has stored it.
async fn mails_go_out_when_told(world: &World, session: SessionId) -> String {
    let left = async || match world.begin_mailed(&DELETE, session).await {
        Mailed::Sent(code) => Err(code),
        Mailed::NotYet(seconds) | Mailed::Exhausted(seconds) => Ok(seconds),
    };
    let first = match left().await {
        Err(code) => return code,
        Ok(seconds) => seconds,
    };
    assert!((1..=86_400).contains(&first), "{first}");
    if first > 1 {
        world.advance(1);
        assert_eq!(left().await, Ok(first - 1), "reported twice, in two ways");
        world.advance(first - 1);
    } else {
        world.advance(first);
    }
    match left().await {
        Err(code) => code,
        Ok(seconds) => panic!("{first} seconds are over, and now {seconds} are outcome"),
    }
}

/// A guess at a mailed code by an unknown client.
async fn guesses_are_looked_at_when_told(world: &World) {
    let guess = async || match world.mailed(DELETE, SessionId::new("nothing is pending here"), "000000").await {
        Outcome::Refused(seconds) => Some(seconds),
        Outcome::Denied => None,
        other => panic!("{other:?}"),
    };
    let Some(first) = guess().await else { return };
    assert!((1..=3_600).contains(&first), "{first}");
    world.advance(first);
    assert_eq!(guess().await, None, "{first} seconds are over");
}

async fn told_comes_true(seed: u64, day: bool, steps: Vec<Step>) {
    let world = history(seed, day, steps).await;
    guesses_are_looked_at_when_told(&world).await;
    for session in 0..4_u8 {
        let code = mails_go_out_when_told(&world, SessionId::new([session])).await;
        world.mailed(DELETE, SessionId::new([session]), &wrong(&code)).await;
        guesses_are_looked_at_when_told(&world).await;
    }

    // Codes are valid for the lifetimes that were reported.
    for session in 0..4_u8 {
        let wait = world.confirmations.begin_wait(&world.account, &DELETE, SessionId::new([session])).await.unwrap();
        assert_eq!(wait.earliest().get(), world.now() + wait.seconds());
        // From the first second that was reported to the last one.
        let late = if seed.is_multiple_of(2) { 0 } else { wait.latest().get() - wait.earliest().get() - 1 };
        world.advance(wait.seconds() + late);
        assert_eq!(world.wait(DELETE, SessionId::new([session])).await, None);
    }
    let code = world.confirmations.begin_code(&world.account, &DELETE, SessionId::new("code")).await.unwrap();
    world.set(code.expires().get() - 1);
    assert_eq!(world.code(DELETE, SessionId::new("code"), code.expose()).await, Outcome::Granted);
    let code = mails_go_out_when_told(&world, SessionId::new("mailed")).await;
    world.advance(599);
    let owner = world.client(b"the owner's token");
    guesses_are_looked_at_when_told_by(&world, owner).await;
    let outcome = world.mailed_from(owner, DELETE, SessionId::new("mailed"), &code).await;
    assert!(matches!(outcome, Outcome::Granted | Outcome::Denied), "{outcome:?}");
}

/// The same, for a client.
async fn guesses_are_looked_at_when_told_by(world: &World, client: Client) {
    if let Outcome::Refused(seconds) =
        world.mailed_from(client, DELETE, SessionId::new("nothing is pending here"), "000000").await
    {
        world.advance(seconds);
        assert_eq!(
            world.mailed_from(client, DELETE, SessionId::new("nothing is pending here"), "000000").await,
            Outcome::Denied
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_of_clocks_what_is_told_comes_true(
        seed in any::<u64>(), day in any::<bool>(), steps in prop::collection::vec(step(), 1..60),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(told_comes_true(seed, day, steps));
    }
}

/// A clock that once ran ahead leaves nothing behind that delays the owner.
#[tokio::test]
async fn ten_years_ahead_and_back_cost_a_day_at_most() {
    let world = World::new().await;
    let begun = world.now();
    world.set(begun + 315_576_000);
    for nth in 0..10_u8 {
        let code = world.begin_mailed(&DELETE, SessionId::new([nth])).await.sent();
        world.mailed(DELETE, SessionId::new([nth]), &wrong(&code)).await;
        world.advance(60);
    }
    world.set(begun);
    assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::Exhausted(86_400));
    assert!(matches!(world.mailed(DELETE, SessionId::new("s"), "000000").await, Outcome::Refused(1..=3_600)));
    world.advance(86_400);
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
}

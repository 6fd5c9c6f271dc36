//! Recovery codes of other systems that need no slow hash: in clear, and as digests.

use std::sync::Arc;

use keywright_twofactor::VerifyOutcome;
use keywright_twofactor::import::ImportedUser;
use keywright_twofactor::recovery::{Digest, ImportedCodes, LetterCase, Spelling};
use sha2::Digest as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{LOG_IN, SEED, START, UNKNOWN, Verdict, World, code, device, id};

async fn with(world: &World, name: &str, codes: ImportedCodes) -> keywright_core::AccountId {
    let account = id(name);
    let outcome = world.import(&account, &ImportedUser::new().device(device(SEED)).recovery(codes)).await;
    assert!(matches!(outcome, keywright_twofactor::import::ImportOutcome::Imported(_)), "{outcome:?}");
    account
}

#[tokio::test]
async fn codes_in_clear_work_once_however_they_are_typed() {
    let world = World::new().await;
    let lower = with(&world, "lower", ImportedCodes::in_clear(["zqk4-7pna", "b3xm9wte", "7h5tqw2e"])).await;
    for (typed, verdict) in [
        ("ZQK47PNA", Verdict::Granted),
        ("zqk4 7pna", Verdict::Replayed),
        ("b3xm\u{2011}9wte", Verdict::Granted),
        ("b3xm9wtf", Verdict::Charged(1)),
        ("short", Verdict::Malformed),
        ("b3xm9wte7", Verdict::Malformed),
    ] {
        assert_eq!(world.recover(&lower, typed).await, verdict, "{typed}");
    }
    assert_eq!(world.remaining(&lower).await, Some(1));
    // Where the other system mixed cases, they matter.
    let mixed = with(&world, "mixed", ImportedCodes::in_clear(["aB3dE-fGh1J", "kLm2N-oPq4R"])).await;
    assert_eq!(world.recover(&mixed, "ab3defgh1j").await, Verdict::Charged(1));
    world.advance(3_600);
    assert_eq!(world.recover(&mixed, "aB3dEfGh1J").await, Verdict::Granted);
    // Digits only: other text is no code, so a time-based code is none either.
    let digits = with(&world, "digits", ImportedCodes::in_clear(["12345678", "23456789"])).await;
    assert_eq!(world.recover(&digits, "1234567x").await, Verdict::Malformed);
    assert_eq!(world.recover(&digits, "123456").await, Verdict::Malformed);
    let enrolled = world.service.enrolled(&digits).await.unwrap();
    assert!(enrolled.is_form_of_recovery("1234 5678") && !enrolled.is_form_of_recovery("123456"));
    // One field for both kinds.
    let field = |typed: &'static str| world.service.verify(&digits, typed, &LOG_IN, UNKNOWN);
    assert_eq!(Verdict::of(&field("12345678").await.unwrap()), Verdict::Granted);
    let shown = code(SEED, world.now());
    let verdict = world.service.verify(&digits, &shown, &LOG_IN, UNKNOWN).await.unwrap();
    assert_eq!(Verdict::of(&verdict), Verdict::Granted);
    assert!(START < world.now());
}

#[tokio::test]
async fn digests_in_hex_and_base64_and_every_spelling() {
    use base64::Engine;
    let world = World::new().await;
    let sha256 = |text: &str| hex::encode(sha2::Sha256::digest(text));
    let sha512 = |text: &str| base64::engine::general_purpose::STANDARD.encode(sha2::Sha512::digest(text));
    let plain = ImportedCodes::digests(Digest::Sha256, [sha256("zqk47pna"), sha256("b3xm9wte")]);
    let plain = with(&world, "plain", plain).await;
    assert_eq!(world.recover(&plain, "zqk4-7pna").await, Verdict::Granted);
    assert_eq!(world.recover(&plain, "zqk47pna").await, Verdict::Replayed);
    let upper = ImportedCodes::digests(Digest::Sha512, [sha512("8PNX1QWAEG7K"), sha512("9PNX1QWAEG7K")]);
    let upper = with(&world, "upper", upper.spelled(Spelling::new(LetterCase::Upper))).await;
    assert_eq!(world.recover(&upper, "8pnx-1qwa-eg7k").await, Verdict::Granted);
    let grouped = ImportedCodes::digests(Digest::Sha256, [sha256("abcde-fghij"), sha256("klmno-pqrst")]);
    let grouped = with(&world, "grouped", grouped.spelled(Spelling::new(LetterCase::Lower).grouped(5))).await;
    assert_eq!(world.recover(&grouped, "ABCDEFGHIJ").await, Verdict::Granted);
    assert_eq!(world.remaining(&grouped).await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_with_one_code_one_is_granted() {
    for world in [World::new().await, World::sqlite().await] {
        let account = with(&world, "user", ImportedCodes::in_clear(["zqk4-7pna", "b3xm9wte"])).await;
        let barrier = Arc::new(Barrier::new(32));
        let mut running = JoinSet::new();
        for _ in 0..32 {
            let (service, account, barrier) = (world.service.clone(), account.clone(), barrier.clone());
            running.spawn(async move {
                barrier.wait().await;
                service.verify_recovery(&account, "zqk47pna", &LOG_IN, UNKNOWN).await
            });
        }
        let done = running.join_all().await;
        let granted = done.iter().filter(|one| matches!(one, Ok(VerifyOutcome::Granted(_)))).count();
        assert_eq!((granted, world.remaining(&account).await), (1, Some(1)));
    }
}

#[tokio::test]
async fn nothing_shows_a_code() {
    let codes = ImportedCodes::in_clear(["planted-code"]);
    let user = ImportedUser::new().device(device(b"planted-secret-of-20")).recovery(codes);
    let shown = format!("{user:?}");
    assert!(!shown.contains("planted") && !shown.contains("112, 108, 97"), "{shown}");
    let world = World::new().await;
    let _ = world.import(&id("user"), &user).await;
    let dump = world.dump().await;
    assert!(!dump.windows(7).any(|bytes| bytes == b"planted"));
}

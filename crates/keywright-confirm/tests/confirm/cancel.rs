//! Cancel tokens.

use keywright_confirm::{CancelToken, SendOutcome};
use keywright_core::SessionId;

use crate::support::{DELETE, Delete, Mailed, Outcome, World};

#[tokio::test]
async fn asvs_6_5_6_a_token_withdraws_each_style_once() {
    for style in 0..3 {
        let world = World::new().await;
        let (service, account) = (&world.confirmations, &world.account);
        let (token, code) = match style {
            0 => {
                let code = service.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap();
                (code.cancel_token().to_hex(), code.expose().to_owned())
            }
            1 => {
                let wait = service.begin_wait(account, &DELETE, SessionId::new("s")).await.unwrap();
                (wait.cancel_token().to_hex(), String::new())
            }
            _ => match service.begin_mailed(account, &DELETE, SessionId::new("s")).await.unwrap() {
                SendOutcome::Send(code) => (code.cancel_token().to_hex(), code.expose().to_owned()),
                held => panic!("{held:?}"),
            },
        };
        let token = CancelToken::parse(token.expose()).unwrap();
        assert!(service.cancel(account, &token).await.unwrap());
        assert!(!service.cancel(account, &token).await.unwrap(), "once");
        world.advance(10);
        match style {
            0 => assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Denied),
            1 => assert!(world.wait(DELETE, SessionId::new("s")).await.is_some()),
            _ => {
                assert_eq!(world.mailed(DELETE, SessionId::new("s"), &code).await, Outcome::Denied);
                assert_eq!(
                    world.begin_mailed(&DELETE, SessionId::new("s")).await,
                    Mailed::NotYet(50),
                    "cancelling refills nothing"
                );
            }
        }
        let cancelled = "confirmation_cancelled (action: test.delete)";
        assert_eq!(world.changes().await.iter().filter(|event| *event == cancelled).count(), 1);
    }
}

#[tokio::test]
async fn a_wrong_token_changes_nothing() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    let before = world.revision().await;
    for byte in ["00", "ff", "a5"] {
        let token = CancelToken::parse(&byte.repeat(32)).unwrap();
        assert!(!world.confirmations.cancel(&world.account, &token).await.unwrap());
    }
    assert_eq!(world.revision().await, before);
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
}

#[tokio::test]
async fn it_withdraws_its_own_confirmation_only() {
    let world = World::new().await;
    let kept = world.begin_code(&DELETE, SessionId::new("kept")).await;
    let gone = world.confirmations.begin_code(&world.account, &DELETE, SessionId::new("gone")).await.unwrap();
    assert!(world.confirmations.cancel(&world.account, gone.cancel_token()).await.unwrap());
    assert_eq!(world.code(DELETE, SessionId::new("gone"), gone.expose()).await, Outcome::Denied);
    assert_eq!(world.code(DELETE, SessionId::new("kept"), &kept).await, Outcome::Granted);
}

#[tokio::test]
async fn the_link_of_an_earlier_notice_still_works_for_the_same_act() {
    let world = World::new().await;
    let (service, account) = (&world.confirmations, &world.account);
    let first = service.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap();
    let second = service.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap();
    assert!(service.cancel(account, first.cancel_token()).await.unwrap());
    assert_eq!(world.code(DELETE, SessionId::new("s"), second.expose()).await, Outcome::Denied);

    let other = Delete { target: "vault-8", ..DELETE };
    let first = service.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap();
    let second = service.begin_code(account, &other, SessionId::new("s")).await.unwrap();
    assert!(!service.cancel(account, first.cancel_token()).await.unwrap(), "of another act it is void");
    assert_eq!(world.code(other, SessionId::new("s"), second.expose()).await, Outcome::Granted);
}

#[tokio::test]
async fn too_late_is_too_late() {
    let world = World::new().await;
    let (service, account) = (&world.confirmations, &world.account);
    let code = service.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap();
    assert_eq!(world.code(DELETE, SessionId::new("s"), code.expose()).await, Outcome::Granted);
    assert!(!service.cancel(account, code.cancel_token()).await.unwrap());
    let code = service.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap();
    world.advance(600);
    assert!(!service.cancel(account, code.cancel_token()).await.unwrap(), "expired");
}

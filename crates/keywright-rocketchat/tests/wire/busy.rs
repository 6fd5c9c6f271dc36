//! A host whose queue of slow hashes is full: 503, before a password is looked at.

use keywright_rocketchat::queue::{Asker, Limits, WorkQueue};
use serde_json::json;

use crate::support::{ADMIN, Call, TARGET, World};

#[tokio::test]
async fn it_is_503_and_charges_nobody() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    let queue = WorkQueue::new(Limits::default().at_once(1).waiting(0, 0));
    world.host.use_queue(queue.clone());
    let turn = queue.enter(&Asker::known(&TARGET.account())).await.unwrap();
    // More often than it would take for a wait, or for four that are open.
    for digest in [ADMIN.password(), TARGET.password()].iter().cycle().take(8) {
        let answer = client.reset().code(digest).method("password").send().await;
        answer.is(503, json!({"success": false, "error": "The server is busy, try again"}));
        assert_eq!(
            (answer.seconds("retry-after"), answer.seconds("x-ratelimit-reset")),
            (2, (world.now() + 2) * 1_000)
        );
    }
    assert_eq!(world.host.count(|call| matches!(call, Call::Password(_))), 0, "one was hashed");
    drop(turn);
    world.clock.advance(120);
    client.reset().code(&ADMIN.password()).method("password").send().await.succeeds();
    assert_eq!((world.host.removals(), world.charged(ADMIN, "login-password").await), (1, 0));
}

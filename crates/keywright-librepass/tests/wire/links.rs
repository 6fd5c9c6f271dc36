//! Mailed links: what opens them and what does not (protocol § 11, 14; `docs/decisions.md` 35b).

use keywright_librepass::MailedLinks;

use crate::support::{PUBLIC, World, alice, policy};

/// The path that was mailed.
async fn path(world: &World) -> String {
    world.register(&alice()).await.is(201, serde_json::json!({}));
    world.host.link_to(&alice().email).unwrap().strip_prefix(PUBLIC).unwrap().to_owned()
}

#[tokio::test]
async fn scanners_and_prefetches_open_nothing() {
    let world = World::new().await;
    let path = path(&world).await;
    let before = world.scan().await;
    for (name, value) in [
        ("Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("X-Moz", "prefetch"),
    ] {
        let answer = world.client().get(&path).header(name, value).send().await;
        assert_eq!(answer.status, 503, "{name}");
        let answer = world.client().get("/api/user/verifyNewEmail?user=x&code=y").header(name, value).send().await;
        assert_eq!(answer.status, 503, "{name}");
    }
    for method in ["HEAD", "OPTIONS", "POST", "PUT", "DELETE"] {
        for path in [&*path, "/api/user/verifyNewEmail?user=x&code=y"] {
            assert!(matches!(world.client().request(method, path).send().await.status, 204 | 405));
        }
    }
    assert_eq!(world.scan().await, before);
    world.log_in(&alice()).await.fails(401, "LP-Email-Not-Verified");
    world.client().get(&path).send().await.redirects();
    world.log_in(&alice()).await.ok();
}

#[tokio::test]
async fn a_policy_puts_a_button_in_between() {
    let world = World::with(policy().mailed_links(MailedLinks::Confirm)).await;
    let path = path(&world).await;
    let before = world.scan().await;
    let answer = world.client().get(&path).send().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(page.contains("<form method=\"post\">") && !page.contains("code"), "{page}");
    assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(world.scan().await, before);
    world.client().request("HEAD", &path).send().await.fails(405, "LP-Invalid-Body");
    let prefetch = world.client().post(&path).header("Sec-Purpose", "prefetch").send().await;
    assert_eq!(prefetch.status, 503);
    assert_eq!(world.scan().await, before);
    // What a browser sends for the button.
    let button = world.client().post(&path).header("content-type", "application/x-www-form-urlencoded").send().await;
    button.redirects();
    world.log_in(&alice()).await.ok();
}

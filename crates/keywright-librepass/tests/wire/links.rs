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
            // HEAD is answered, and acts on nothing.
            let answer = world.client().request(method, path).send().await;
            assert_eq!(answer.status == 200, method == "HEAD", "{method} {answer:?}");
            assert!(matches!(answer.status, 200 | 204 | 405));
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
    assert_eq!(world.client().request("HEAD", &path).send().await.status, 200);
    let prefetch = world.client().post(&path).header("Sec-Purpose", "prefetch").send().await;
    assert_eq!(prefetch.status, 503);
    assert_eq!(world.scan().await, before);
    // What a browser sends for the button.
    let button = world.client().post(&path).header("content-type", "application/x-www-form-urlencoded").send().await;
    button.redirects();
    world.log_in(&alice()).await.ok();
}

/// `docs/decisions.md` 64.
#[tokio::test]
async fn browsers_get_pages_and_everybody_else_what_the_protocol_has() {
    const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
    let world = World::new().await;
    let path = path(&world).await;
    let open = async |path: &str| world.client().get(path).header("accept", BROWSER).send().await;
    let (start, last) = path.split_at(path.len() - 1);
    let wrong = format!("{start}{}", if last == "0" { "1" } else { "0" });
    for (path, status, text) in [
        (&*wrong, 400, "The link is wrong, or no longer valid."),
        ("/api/auth/verifyEmail?user=x&code=y", 400, "The link is not complete."),
        (
            "/api/user/verifyNewEmail?user=00000000-0000-4000-8000-000000000000&code=y",
            404,
            "Nothing waits for this link",
        ),
        ("/api/auth/admitClient?user=x", 400, "The link is not complete."),
    ] {
        let page = open(path).await;
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")), "{path}");
        assert!(String::from_utf8_lossy(&page.body).contains(text), "{path}: {page:?}");
        let plain = world.client().get(path).send().await;
        assert_eq!((plain.status, plain.header("content-type")), (status, Some("application/json")), "{path}");
    }
    for _ in 0..2 {
        let page = open(&path).await;
        page.redirects();
        assert!(String::from_utf8_lossy(&page.body).contains("Your e-mail address is verified"), "{page:?}");
    }
    assert_eq!(&*world.client().get(&path).send().await.redirects().body, b"{}");
    *world.host.full.lock().unwrap() = Some("peer".into());
    let full = open(&path).await;
    assert_eq!((full.status, full.header("retry-after")), (429, Some("17")));
    assert!(String::from_utf8_lossy(&full.body).contains("Try again in 17 seconds."));
    // An application's own endpoints are never pages.
    let other = world.client().get("/api/auth/preLogin").header("accept", BROWSER).send().await;
    other.fails(429, "LP-RateLimit");
}

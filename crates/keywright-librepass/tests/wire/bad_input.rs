//! Bodies and queries that are not what they should be: a defined answer, and nothing written.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{World, alice};

const OPEN: [&str; 3] = ["/api/auth/register", "/api/auth/oauth?grantType=login", "/api/auth/oauth?grantType=2fa"];

/// A world with one account, and the right bodies for the three.
async fn world() -> (World, [Value; 3]) {
    let world = World::new().await;
    world.settle(&alice()).await;
    let registration = world.registration(&crate::support::bob()).await;
    let shared = alice().shared(&world.server_key().await);
    let log_in = json!({"email": alice().email, "sharedKey": shared});
    let proof = json!({"apiKey": format!("lp_{}", "0".repeat(64)), "code": "123456"});
    (world, [registration, log_in, proof])
}

#[tokio::test]
async fn bodies_that_are_none() {
    let (world, good) = world().await;
    let before = world.scan().await;
    for (path, good) in OPEN.iter().zip(&good) {
        let text = good.to_string();
        let first = good.as_object().unwrap().keys().next().unwrap().clone();
        let twice = format!("{{\"{first}\":{},{}", good[&first], &text[1..]);
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut bodies: Vec<Vec<u8>> = vec![
            Vec::new(),
            b"null".to_vec(),
            b"[]".to_vec(),
            b"{}".to_vec(),
            b"\xff\xfe{}".to_vec(),
            b"1e999".to_vec(),
            format!("{text}{text}").into_bytes(),
            format!("[{text}]").into_bytes(),
            twice.into_bytes(),
            nested.into_bytes(),
        ];
        // Cut off at every place.
        bodies.extend((0..text.len()).map(|end| text.as_bytes()[..end].to_vec()));
        // Every member of every other type.
        for member in good.as_object().unwrap().keys() {
            for value in [json!(null), json!(true), json!(-1), json!(1.5), json!([]), json!({}), json!([good[member]])]
            {
                let mut body = good.clone();
                body[member] = value;
                bodies.push(body.to_string().into_bytes());
            }
            let huge = text.replacen(&good[member].to_string(), "123456789012345678901234567890", 1);
            bodies.push(huge.into_bytes());
        }
        for body in bodies {
            let answer = world.client().post(path).raw(body.clone()).send().await;
            assert_eq!(answer.status, 400, "{path} {} {answer:?}", String::from_utf8_lossy(&body));
            answer.fails(400, "LP-Invalid-Body");
        }
    }
    assert_eq!(world.scan().await, before);
    assert_eq!(world.host.mails().len(), 1);
}

#[tokio::test]
async fn queries_that_are_none() {
    let (world, _) = world().await;
    let before = world.scan().await;
    for path in ["preLogin", "passwordHint", "resendVerificationEmail"] {
        for query in [
            "",
            "?",
            "?Email=a@b.co",
            "?email=a",
            "?email=%ff",
            "?email=a@b.co&email=a@b.co",
            "?email=%00@b.co",
            "?email=a@b,c@d",
        ] {
            let answer = world.client().get(&format!("/api/auth/{path}{query}")).send().await;
            answer.fails(400, "LP-Invalid-Body");
        }
    }
    assert_eq!(world.scan().await, before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_anywhere_have_an_answer(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        query in "[a-zA-Z0-9=&%+@.]{0,60}",
        method in 0..5_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let before = world.scan().await;
            let method = ["GET", "POST", "PUT", "PATCH", "DELETE"][method];
            for endpoint in keywright_librepass::Endpoint::ALL {
                let uri = format!("{}?{query}", endpoint.path().replace("{id}", "x"));
                let answer = world.client().request(method, &uri).raw(bytes.clone()).send().await;
                assert!(answer.status < 500 || answer.status == 503, "{answer:?}");
            }
            assert_eq!(world.scan().await, before);
        });
    }
}

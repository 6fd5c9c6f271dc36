//! Bad input, endpoint by endpoint: a defined answer, never a panic, never a 5xx for the client's fault, nothing written.

use std::sync::LazyLock;

use http::Request;
use keywright_nextcloud::{BASE_PATH, Endpoint};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Answer, Client, Row, World, salts, secret};

const POSTS: [&str; 4] = ["session/open", "account/challenge/set", "account/reset", "keychain/set"];

/// Bodies that are no JSON object at all.
fn no_objects() -> Vec<Vec<u8>> {
    let deep = |open: &str, depth: usize| open.repeat(depth).into_bytes();
    let mut bodies: Vec<Vec<u8>> = [
        " ",
        "null",
        "true",
        "17",
        "1e999",
        "[]",
        "\"text\"",
        "{",
        "}",
        "{]",
        "{\"a\":}",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"challenge\":NaN}",
        "{\"challenge\":\"\u{1}\"}",
        "{\"challenge\":\"\\ud800\"}",
        "{}{}",
        "{}x",
        "\u{feff}{}",
        "challenge=aaaa&secret=bbbb",
        "<xml/>",
        "{\"challenge\":\"\\x41\"}",
        "{\"challenge\":\"",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.extend([deep("[", 100_000), deep("{\"a\":", 100_000), deep("{\"a\":[", 5_000)]);
    bodies.extend([
        vec![0; 50],
        vec![0xff; 50],
        b"{\"challenge\":\"\xff\xfe\"}".to_vec(),
        b"{\"a\":\"\xc3\"}".to_vec(),
    ]);
    bodies
}

/// Values where a text or a list of texts is wanted.
fn odd_values() -> Vec<Value> {
    vec![
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!([]),
        json!([null]),
        json!([[[]]]),
        json!({}),
        json!({"0": "a"}),
        json!({"length": 64}),
        json!(""),
        json!("\u{0}"),
        json!("a\u{0}".repeat(40)),
        json!("é".repeat(31)),
        json!("💥".repeat(1_000)),
        json!("a".repeat(100_000)),
        json!("' OR 1=1 --"),
        json!("../../root"),
        json!("{{7*7}}"),
    ]
}

/// A world with a challenge, an authorized and an unauthorized client.
async fn settled() -> (World, Client, Client) {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("kept").await;
    let mut laptop = world.token("laptop");
    laptop.get("session/keepalive").await;
    (world, phone, laptop)
}

/// What must stay as it is: all, but that a bad new challenge behind a right old secret commits that verdict.
async fn left(world: &World, path: &str) -> Vec<Row> {
    let mut rows = world.scan().await;
    if path == "account/challenge/set" {
        rows.retain(|row| !["ledger", "root", "nextcloud-failures"].contains(&row.slot.as_str()));
    }
    rows
}

#[tokio::test]
async fn what_is_no_json_object_is_400_and_writes_nothing() {
    let (world, phone, laptop) = settled().await;
    let before = world.scan().await;
    for path in POSTS {
        for body in no_objects() {
            for client in [&phone, &laptop] {
                client.clone().post_bytes(path, body.clone()).await.fails(400, "0");
            }
        }
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn a_body_beyond_a_mebibyte_is_413_whatever_it_is() {
    let (world, phone, laptop) = settled().await;
    let before = world.scan().await;
    let big = vec![b' '; keywright_nextcloud::MAX_BODY + 1];
    for path in POSTS {
        for client in [&phone, &laptop] {
            let answer = client.clone().post_bytes(path, big.clone()).await;
            assert_eq!((answer.status, answer.json()["message"].as_str()), (413, Some("Request too large")));
        }
    }
    // A keychain of the largest size is taken.
    assert_eq!(world.scan().await, before);
    let text = "k".repeat(keywright_nextcloud::MAX_BODY - 30);
    phone.clone().put_keychain(&text).await.is(200, json!({"id": "CSEv1r1"}));
    phone.clone().get("keychain/get").await.is(200, json!({"CSEv1r1": text}));
}

#[tokio::test]
async fn every_member_of_a_wrong_type_is_400_and_writes_nothing() {
    let (world, phone, laptop) = settled().await;
    let old = secret(1);
    for odd in odd_values() {
        let bodies = [
            ("session/open", json!({"challenge": odd}), vec![400]),
            ("account/challenge/set", json!({"secret": odd, "data": salts(2), "oldSecret": old}), vec![400]),
            ("account/challenge/set", json!({"secret": secret(2), "data": odd, "oldSecret": old}), vec![400]),
            ("account/challenge/set", json!({"secret": secret(2), "data": salts(2), "oldSecret": odd}), vec![400]),
            ("account/reset", json!({"code": odd}), vec![403]),
            ("keychain/set", json!({"id": odd, "data": "text"}), vec![400]),
        ];
        for (path, body, expected) in bodies {
            for client in [&phone, &laptop] {
                let before = left(&world, path).await;
                let answer = client.clone().post(path, body.clone()).await;
                let allowed = |status: u16| expected.contains(&status) || (status == 412 && path != "session/open");
                let opened = path == "session/open" && answer.status == 200 && client.session == phone.session;
                assert!(allowed(answer.status) || opened, "{path} {body:.80}: {answer:?}");
                assert_eq!(left(&world, path).await, before, "{path} {body:.80}");
            }
        }
    }
    for odd in odd_values().into_iter().filter(|odd| !odd.is_string()) {
        phone.clone().post("keychain/set", json!({"id": "CSEv1r1", "data": odd})).await.fails(400, "0");
    }
    phone.clone().get("keychain/get").await.is(200, json!({"CSEv1r1": "kept"}));
}

#[tokio::test]
async fn missing_members_are_400_or_the_protocols_401() {
    let (_world, mut phone, mut laptop) = settled().await;
    phone.post("account/challenge/set", json!({})).await.fails(400, "92312b66");
    phone.post("account/challenge/set", json!({"secret": secret(2)})).await.fails(400, "ee858005");
    phone.post("account/challenge/set", json!({"data": salts(2)})).await.fails(400, "92312b66");
    phone.post("keychain/set", json!({})).await.fails(400, "0");
    phone.post("keychain/set", json!({"data": "text"})).await.fails(400, "0");
    phone.post("keychain/set", json!({"id": "CSEv1r1"})).await.fails(400, "0");
    phone.post("keychain/set", json!({"id": null, "data": null})).await.fails(400, "0");
    laptop.post("session/open", json!({})).await.fails(401, "ab6e13ba");
    laptop.post("session/open", json!({"Challenge": secret(1)})).await.fails(401, "ab6e13ba");
}

#[tokio::test]
async fn an_object_that_names_a_member_twice_is_400_and_no_guess() {
    let (world, phone, laptop) = settled().await;
    let before = world.scan().await;
    for (one, other) in [(1, 9), (9, 1), (1, 1)] {
        let body = format!(r#"{{"challenge":"{}","challenge":"{}"}}"#, secret(one), secret(other));
        laptop.clone().post_bytes("session/open", body.into_bytes()).await.fails(400, "0");
    }
    for body in [r#"{"token":{"totp":"1","totp":"2"}}"#, r#"{"a":1,"\u0061":1}"#, r#"{"a":[{"b":1,"b":1}]}"#] {
        for path in POSTS {
            phone.clone().post_bytes(path, body.into()).await.fails(400, "0");
        }
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn huge_and_many_headers_are_only_headers() {
    let (world, phone, _) = settled().await;
    let before = world.scan().await;
    let huge = "x".repeat(200_000);
    let mut request = phone.request("GET", "session/request").header("x-huge", &huge).header("cookie", &huge);
    for n in 0..2_000 {
        request = request.header("cookie", format!("c{n}=v; d{n}")).header("x-api-session", "null");
    }
    assert_eq!(phone.clone().send(request.body("").unwrap()).await.status, 200);
    for name in ["authorization", "x-api-session", "cookie", "content-type", "range", "expect"] {
        for value in [huge.as_bytes(), b"\xff\xfe", b"", b" ", b";;;=", b"nc_passwords", b"nc_passwords=\"a\""] {
            let mut client = phone.clone();
            let value = http::HeaderValue::from_bytes(value).unwrap();
            let request = client.request("GET", "session/keepalive").header(name, value).body("").unwrap();
            let answer = client.send(request).await;
            assert!(matches!(answer.status, 200 | 401), "{name}: {answer:?}");
        }
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn odd_paths_are_404_and_write_nothing() {
    let (world, mut phone, _) = settled().await;
    let before = world.scan().await;
    for path in [
        "..",
        "../1.0/session/open",
        "session/open%00",
        "session%2Fopen",
        "account/reset;x",
        "%00",
        "a/b/c/d/e/f",
        &"x/".repeat(5_000),
        "account/challenge/get/",
        "service/x-reset-user-account",
    ] {
        phone.get(path).await.fails(404, "135d4069");
    }
    for path in
        ["/", "/index.php", "/index.php/apps/passwords/api/1.0", "/index.php/apps/passwords/api/2.0/session/open"]
    {
        let request = Request::get(path).header("authorization", "Bearer nonsense").body("").unwrap();
        assert_eq!(Answer::check(world.app.handle(request).await, false).status, 401);
    }
    assert_eq!(world.scan().await, before);
}

/// Anything a body can be, with the names that we know in it.
fn json_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,70}".prop_map(Value::from),
        "[0-9a-f]{60,70}".prop_map(Value::from),
        Just(Value::from(secret(1))),
        Just(Value::from("CSEv1r1")),
        Just(salts(2)),
    ];
    let name = prop_oneof![
        prop::sample::select(vec!["challenge", "token", "secret", "data", "oldSecret", "code", "id", "password"])
            .prop_map(String::from),
        "\\PC{0,8}",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => json_like().prop_map(|value| value.to_string().into_bytes()),
        2 => (json_like(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(value, at, byte)| {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => vec(any::<u8>(), 0..300),
    ]
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

/// Whether an answer may have written: what was granted, a wrong guess of 64 bytes, a pending reset.
fn may_write(path: &str, answer: &Answer) -> bool {
    answer.status < 300
        || answer.body.is_empty()
        || answer.error().1 == "ab6e13ba"
        || (path == "account/reset" && answer.status == 403)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_body_to_any_endpoint_has_a_defined_answer(
        body in body(),
        endpoint in prop::sample::select(Endpoint::ALL.to_vec()),
        method in prop::sample::select(vec!["GET", "POST", "POST", "POST", "HEAD", "PUT"]),
        authorized in any::<bool>(),
        query in prop_oneof![Just(String::new()), "[?][a-z=&%0-9]{0,20}"],
    ) {
        RUNTIME.block_on(async {
            let (world, phone, laptop) = settled().await;
            let mut client = if authorized { phone } else { laptop };
            let before = left(&world, endpoint.path()).await;
            let uri = format!("{BASE_PATH}{}{query}", endpoint.path().replace("{provider}", "totp"));
            let request = client.request(method, endpoint.path()).uri(uri).header("content-type", "application/json");
            let answer = client.send(request.body(body).unwrap()).await;
            assert!(answer.status < 500, "{endpoint}: {answer:?}");
            assert!(answer.id().is_some());
            if !may_write(endpoint.path(), &answer) {
                assert_eq!(left(&world, endpoint.path()).await, before, "{endpoint}: {answer:?}");
            }
        });
    }

    #[test]
    fn any_headers_have_a_defined_answer(
        name in prop::sample::select(vec!["authorization", "cookie", "x-api-session", "content-type"]),
        value in prop_oneof![
            vec(prop_oneof![0x20_u8..=0x7e, 0x80_u8..], 0..200),
            "nc_passwords=[A-Za-z0-9_-]{80,90}".prop_map(String::into_bytes),
            "(Basic|Bearer) [A-Za-z0-9+/]{0,80}={0,2}".prop_map(String::into_bytes),
        ],
    ) {
        RUNTIME.block_on(async {
            let world = World::new().await;
            let mut client = world.token("phone");
            let value = http::HeaderValue::from_bytes(&value).unwrap();
            let request = client.request("POST", "session/open").header(name, value).body("{}").unwrap();
            let answer = client.send(request).await;
            assert!(answer.status < 500, "{answer:?}");
        });
    }
}

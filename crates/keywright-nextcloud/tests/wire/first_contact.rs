//! What stock applications send before they have a session (protocol § 11): paths, bodies, settings
//! and providers of tokens in their own forms, with the exact answers.

use bytes::Bytes;
use http::Request;
use keywright_nextcloud::{NextcloudPolicy, Settings};
use serde_json::{Value, json};

use crate::support::{Answer, Client, World, salts, secret};
use crate::two_factor::{enrol, recovery};

const FORM: &str = "application/x-www-form-urlencoded";

fn success() -> Value {
    json!({"success": true})
}

/// Sends a request to a whole path, with further headers.
async fn send(client: &mut Client, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = client.request(method, "").uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    client.send(request).await
}

async fn post_form(client: &mut Client, path: &str, body: &str) -> Answer {
    let uri = format!("/apps/passwords/api/1.0/{path}");
    send(client, "POST", &uri, &[("content-type", FORM)], body).await
}

#[tokio::test]
async fn paths_are_served_in_every_form_that_applications_use() {
    let world = World::new().await;
    let mut client = world.token("phone");
    for path in [
        "/index.php/apps/passwords/api//1.0/session/keepalive",
        "//index.php/apps/passwords/api/1.0/session/keepalive",
        "/apps/passwords/api/1.0/session/keepalive",
        "/apps//passwords///api/1.0//session/keepalive?",
    ] {
        send(&mut client, "GET", path, &[], "").await.is(200, success());
        let options = Request::options(path).body("").unwrap();
        assert_eq!(Answer::check(world.app.handle(options).await, false).header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    for path in [
        "/apps/passwords/api/1.0/session%2Fkeepalive",
        "/apps/passwords/api/1.0/./session/keepalive",
        "/apps/passwords/api/1.0/session/keepalive/",
        "/apps/passwords/api/1.1/session/keepalive",
        "/index.php/apps/passwords/",
    ] {
        send(&mut client, "GET", path, &[], "").await.fails(404, "135d4069");
    }
}

/// The Rust crate sends neither body nor media type, and reads the session id of whatever comes.
#[tokio::test]
async fn an_absent_body_is_an_empty_object_and_an_empty_session_id_is_none() {
    let world = World::new().await;
    for headers in [
        [].as_slice(),
        &[("content-type", "application/json")],
        &[("content-type", FORM), ("x-api-session", "")],
        &[("content-type", "text/plain"), ("cookie", "nc_passwords=")],
    ] {
        let mut client = world.token("phone");
        let uri = "/index.php/apps/passwords/api//1.0/session/open";
        send(&mut client, "POST", uri, headers, "").await.is(200, json!({"success": true, "keys": []}));
        send(&mut client, "POST", "/apps/passwords/api/1.0/nothing", headers, "").await.fails(404, "135d4069");
    }
    let mut other = world.token("laptop");
    world.with_challenge().await;
    send(&mut other, "POST", "/apps/passwords/api/1.0/session/open", &[], "").await.fails(401, "ab6e13ba");
    send(&mut other, "POST", "/apps/passwords/api/1.0/keychain/set", &[], "").await.fails(412, "4ad27488");
    assert_eq!(world.charged("challenge").await, 0);
}

#[tokio::test]
async fn a_form_is_read_as_php_names_its_fields() {
    let world = World::new().await;
    let mut phone = world.token("phone");
    let salts: Vec<String> = serde_json::from_value(salts(1)).unwrap();
    let data: String = salts.iter().map(|salt| format!("&data%5B%5D={salt}")).collect();
    post_form(&mut phone, "account/challenge/set", &format!("secret={}{data}", secret(1))).await.is(200, success());
    post_form(&mut phone, "keychain/set", "id=CSEv1r1&data=a+b%26").await.is(200, json!({"id": "CSEv1r1"}));

    let mut laptop = world.token("laptop");
    post_form(&mut laptop, "session/open", &format!("challenge={}", secret(9))).await.fails(401, "ab6e13ba");
    let twice = format!("challenge={0}&challenge={0}", secret(1));
    post_form(&mut laptop, "session/open", &twice).await.fails(400, "0");
    post_form(&mut laptop, "session/open", "token=123456").await.fails(400, "0");
    assert_eq!(world.charged("challenge").await, 1);
    let opened = post_form(&mut laptop, "session/open", &format!("challenge={}&token[x]=y", secret(1))).await;
    opened.is(200, json!({"success": true, "keys": {"CSEv1r1": "a b&"}}));
}

/// A browser that remembers a login adds it to whatever any page sends, but names the page's site.
#[tokio::test]
async fn a_form_or_an_empty_post_of_another_site_is_415_and_acts_on_nothing() {
    let world = World::new().await;
    let mut client = world.token("phone");
    client.get("session/keepalive").await;
    let uri = "/index.php/apps/passwords/api/1.0/session/open";
    let own = [("host", "cloud.example"), ("origin", "https://cloud.example"), ("sec-fetch-site", "same-origin")];
    let before = world.scan().await;
    for other in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for (kind, body) in [(FORM, "challenge=x"), (FORM, ""), ("text/plain", "")] {
            let headers = [("host", "cloud.example"), ("content-type", kind), other];
            let answer = send(&mut client, "POST", uri, &headers, body).await;
            answer.fails(415, "990e339c");
        }
        let answer = send(&mut client, "POST", uri, &[other], "").await;
        answer.fails(415, "990e339c");
    }
    assert_eq!(world.scan().await, before);
    let headers = [own.as_slice(), &[("content-type", FORM)]].concat();
    send(&mut client, "POST", uri, &headers, "a=b").await.is(200, json!({"success": true, "keys": []}));
    // JSON is not sent to another site before that site has agreed, and this server never does.
    let headers = [("content-type", "application/json"), ("origin", "moz-extension://a"), ("sec-fetch-site", "none")];
    send(&mut client, "POST", uri, &headers, "{}").await.is(200, json!({"success": true, "keys": []}));
}

#[tokio::test]
async fn head_is_answered_as_get_where_get_only_reads() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("kept").await;
    let before = world.scan().await;
    for path in ["session/request", "session/keepalive", "account/challenge/get", "keychain/get", "settings/list"] {
        for mut client in [phone.clone(), world.token("laptop")] {
            let get = client.get(path).await;
            let request = client.request("HEAD", path).body(Bytes::new()).unwrap();
            let head = client.send(request).await;
            assert_eq!((head.status, head.id()), (get.status, get.id()), "{path}");
            assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
            assert!(head.body.is_empty(), "{path}");
        }
    }
    for path in ["session/close", "account/reset", "token/totp/request", "session/open", "settings/get"] {
        let request = phone.request("HEAD", path).body(Bytes::new()).unwrap();
        let head = phone.send(request).await;
        assert_eq!((head.status, head.body.len()), (405, 0), "{path}");
    }
    assert_eq!(world.scan().await, before);
    let request = phone.request("HEAD", "nothing").body(Bytes::new()).unwrap();
    assert_eq!(phone.send(request).await.status, 404);
}

/// The default settings, as a client that asks for all of them gets them.
fn default_settings() -> Value {
    json!({
        "server.app.version": "2026.7",
        "server.sharing.autocomplete": false,
        "server.sharing.enabled": false,
        "server.sharing.resharing": false,
        "server.sharing.types": [],
        "server.theme.color.background": "#ffffff",
        "server.theme.color.primary": "#0082c9",
        "server.theme.color.text": "#ffffff",
        "server.theme.label": "Passwords",
        "server.version": "32",
        "user.encryption.cse": 0,
        "user.encryption.sse": 0,
        "user.mail.security": false,
        "user.mail.shares": false,
        "user.notification.errors": false,
        "user.notification.security": false,
        "user.notification.shares": false,
        "user.password.generator.numbers": false,
        "user.password.generator.special": false,
        "user.password.generator.strength": 1,
        "user.password.security.age": 0,
        "user.password.security.duplicates": true,
        "user.password.security.hash": 40,
        "user.session.lifetime": 600,
        "user.sharing.editable": false,
        "user.sharing.resharing": false,
    })
}

#[tokio::test]
async fn settings_are_read_without_an_open_session_and_unknown_ones_are_null() {
    let world = World::new().await;
    let mut client = world.token("laptop");
    let names = json!(["user.session.lifetime", "server.baseUrl", "user.encryption.cse", "client.none", ""]);
    let answer = client.post("settings/get", names.clone()).await;
    let shown =
        r#"{"":null,"client.none":null,"server.baseUrl":null,"user.encryption.cse":0,"user.session.lifetime":600}"#;
    assert_eq!((answer.status, answer.body.as_ref()), (200, shown.as_bytes()));
    assert!(answer.id().is_some());
    client.get("settings/list").await.is(200, default_settings());
    client.post("settings/list", json!({})).await.is(200, default_settings());
    client.post("settings/list", json!({"scopes": null})).await.is(200, default_settings());

    // A challenge switches client-side encryption on, and reading still needs no proof.
    world.with_challenge().await;
    client.post("settings/get", json!(["user.encryption.cse"])).await.is(200, json!({"user.encryption.cse": 1}));
    client.get("session/close").await.fails(412, "4ad27488");
    post_form(&mut client, "settings/get", "0=user.encryption.cse&1=x")
        .await
        .is(200, json!({"user.encryption.cse": 1, "x": null}));
    client.post("settings/get", json!([])).await.is(200, json!({}));
    assert_eq!(world.session_rows().await, 1, "that of the one who set the challenge");
}

#[tokio::test]
async fn a_list_of_settings_can_be_bounded_by_scopes() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let of = |scope: &str| {
        let all = default_settings();
        let members = all.as_object().unwrap().clone().into_iter().filter(|(name, _)| name.starts_with(scope));
        Value::Object(members.collect())
    };
    client.post("settings/list", json!({"scopes": ["server"]})).await.is(200, of("server."));
    client.post("settings/list", json!({"scopes": ["server", "user", "nothing"]})).await.is(200, default_settings());
    client.post("settings/list", json!({"scopes": "user"})).await.is(200, of("user."));
    for scopes in [json!([]), json!(["client"]), json!(["use"]), json!(["user."])] {
        client.post("settings/list", json!({"scopes": scopes})).await.is(200, json!({}));
    }
    client.get("settings/list?scopes=server").await.is(200, of("server."));
    client.get("settings/list?scopes[]=server&scopes[]=x&more=1").await.is(200, of("server."));
    client.get("settings/list?scopes=a&scopes=b").await.fails(400, "0");
    for scopes in [json!(1), json!({}), json!([1])] {
        client.post("settings/list", json!({"scopes": scopes})).await.fails(400, "0");
    }
}

#[tokio::test]
async fn bad_lists_of_names_are_400() {
    let world = World::new().await;
    let mut client = world.token("phone");
    for path in ["settings/get", "settings/reset"] {
        for body in [json!("user.a"), json!(null), json!(7), json!([1]), json!([null]), json!([["user.a"]])] {
            client.post(path, body).await.fails(400, "0");
        }
        let many: Vec<String> = (0..1_001).map(|n| format!("user.{n}")).collect();
        client.post(path, json!(many)).await.fails(400, "0");
    }
    assert_eq!(client.post("settings/get", json!(vec!["user.a"; 1_000])).await.body.as_ref(), br#"{"user.a":null}"#);
}

/// The host's values come before the defaults, and what this crate decides before both.
#[tokio::test]
async fn the_host_adds_its_own_settings_and_decides_none_of_ours() {
    let world = World::with(NextcloudPolicy::builder().app_version("2025.1").build().unwrap()).await;
    let own = Settings::new()
        .with_base_url("https://cloud.example/sub/")
        .with("server.theme.label", "Ours")
        .with("server.app.version", "1.0")
        .with("user.encryption.cse", 7)
        .with("client.app.theme", "dark");
    world.host.use_settings(own);
    let names = json!([
        "server.baseUrl",
        "server.baseUrl.webdav",
        "server.theme.label",
        "server.app.version",
        "user.encryption.cse",
        "client.app.theme"
    ]);
    let expected = json!({
        "server.baseUrl": "https://cloud.example/sub/",
        "server.baseUrl.webdav": "https://cloud.example/sub/remote.php/webdav",
        "server.theme.label": "Ours",
        "server.app.version": "2025.1",
        "user.encryption.cse": 0,
        "client.app.theme": "dark",
    });
    world.token("phone").post("settings/get", names).await.is(200, expected);
    world.host.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(world.token("phone").get("settings/list").await.status, 500);
}

#[tokio::test]
async fn settings_are_stored_by_the_host_or_not_at_all() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let wanted = json!({"user.mail.shares": true, "client.a": "b"});
    client.post("settings/set", wanted.clone()).await.fails(404, "135d4069");
    client.post("settings/reset", json!(["user.mail.shares"])).await.fails(404, "135d4069");

    world.host.use_settings(Settings::new());
    client.post("settings/set", wanted.clone()).await.is(200, wanted.clone());
    client.post("settings/get", json!(["client.a", "user.mail.shares"])).await.is(200, wanted);
    // What this crate decides is answered as it is, and never reaches the host.
    let decided = json!({"user.session.lifetime": 30, "user.encryption.sse": 2, "client.n": 1.5, "client.z": null});
    let shown = json!({"user.session.lifetime": 600, "user.encryption.sse": 0, "client.n": 1.5});
    client.post("settings/set", decided).await.is(200, shown);
    assert_eq!(world.host.set_names(), ["client.a", "client.n", "user.mail.shares"]);
    for bad in [
        json!({"server.theme.label": "x"}),
        json!({"client.a": "c", "server.version": "1"}),
        json!({"a": 1}),
        json!({"user.": 1}),
        json!({"": 1}),
        json!({"client.a": {}}),
        json!({"client.a": []}),
        json!([]),
    ] {
        client.post("settings/set", bad).await.fails(400, "0");
    }
    client.post("settings/get", json!(["client.a"])).await.is(200, json!({"client.a": "b"}));
    for bad in [json!(["server.version"]), json!(["client.a", "x"])] {
        client.post("settings/reset", bad).await.fails(400, "0");
    }
    let reset = json!(["client.a", "user.mail.shares", "user.session.lifetime"]);
    let defaults = json!({"client.a": null, "user.mail.shares": false, "user.session.lifetime": 600});
    client.post("settings/reset", reset).await.is(200, defaults);
    assert_eq!(world.host.set_names(), ["client.n"]);

    // Writing needs an open session where there is a challenge.
    world.with_challenge().await;
    let mut other = world.token("laptop");
    other.post("settings/set", json!({"client.a": "b"})).await.fails(412, "4ad27488");
    other.post("settings/reset", json!(["client.n"])).await.fails(412, "4ad27488");
    assert_eq!(world.host.set_names(), ["client.n"]);
}

#[tokio::test]
async fn a_provider_of_tokens_that_is_offered_has_nothing_to_send_and_others_are_unknown() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut client = world.token("laptop");
    let unknown = r#"{"data":null,"success":false}"#;
    for provider in ["totp", "backup_codes", "email", "TOTP", "to%74p"] {
        let answer = client.get(&format!("token/{provider}/request")).await;
        assert_eq!((answer.status, answer.body.as_ref()), (400, unknown.as_bytes()), "{provider}");
        assert!(answer.id().is_some());
    }
    enrol(&world).await;
    assert_eq!(client.get("token/backup_codes/request").await.status, 400, "there are no recovery codes");
    recovery(&world).await;
    for provider in ["totp", "backup_codes"] {
        let answer = client.get(&format!("token/{provider}/request")).await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, br#"{"data":{},"success":true}"#.as_slice()));
    }
    assert_eq!(client.get("token/email/request").await.status, 400);
    assert_eq!(world.charged("totp").await, 0);
}

/// From first contact to an open session, as the browser extension, Android and iOS go about it.
#[tokio::test]
async fn the_order_of_calls_of_each_application_leads_to_an_open_session() {
    let world = World::new().await;
    world.with_challenge().await;
    let open = json!({"challenge": secret(1)});
    let list = ["settings/get", "settings/list"];
    for (settings, method) in [(list[0], "POST"), (list[1], "GET"), (list[1], "POST")] {
        let mut client = world.token("laptop");
        client.session = Some("null".into());
        let body = if settings == list[0] { r#"["server.app.version"]"# } else { "" };
        let request = client.request(method, settings).header("content-type", "application/json");
        let answer = client.send(request.body(Bytes::from_static(body.as_bytes())).unwrap()).await;
        assert_eq!((answer.status, &answer.json()["server.app.version"]), (200, &json!("2026.7")));
        assert_eq!(client.get("session/request").await.json()["challenge"]["type"], "PWDv1r1");
        client.post("session/open", open.clone()).await.is(200, json!({"success": true, "keys": []}));
        client.get("session/keepalive").await.is(200, success());
        assert!(client.is_authorized().await);
    }
}

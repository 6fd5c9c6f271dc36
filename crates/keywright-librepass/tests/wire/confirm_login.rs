//! The page on which owners confirm the log-in of an application that cannot ask for a code
//! (`docs/decisions.md` 57).

use serde_json::Value;

use crate::support::{Answer, Client, World, alice, bob, code_of, on_both};

const PATH: &str = "/api/auth/confirmLogin";
const SECRET: [u8; 20] = [7; 20];
const HOME: &str = "192.0.2.1";
const APP: &str = "Java/1.5.0";
const AWAY: &str = "203.0.113.9";

/// A log-in of an application that ignores `verified`.
async fn log_in(world: &World, from: &str, client: &str) -> Client {
    let shared = alice().shared(&world.server_key().await);
    let mut request = world.client().log_in(&alice().email, &shared).header("x-test-address", from).build();
    request.headers_mut().insert("x-client", client.parse().unwrap());
    let body = Answer::check(world.app.handle(request).await).ok();
    assert_eq!(body["verified"], Value::Bool(false));
    world.client().with_token(body["apiKey"].as_str().unwrap())
}

async fn post(world: &World, from: &str, form: &str) -> Answer {
    let click = world.client().post(PATH).header("x-test-address", from);
    click
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/html")
        .raw(form)
        .send()
        .await
}

async fn confirm(world: &World, from: &str, code: &str) -> Answer {
    post(world, from, &format!("email=alice%40example.com&code={code}")).await
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{answer:?}");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

async fn enrolled() -> World {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &SECRET).await;
    world
}

#[tokio::test]
async fn the_owner_confirms_a_log_in_of_the_same_network() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        world.enrol(&user, &SECRET).await;
        let page = world.client().get(PATH).send().await;
        assert!(page.status == 200 && html(&page).contains("<form method=\"post\">"), "{page:?}");
        let app = log_in(&world, HOME, APP).await;
        assert!(!app.is_in().await);
        let code = code_of(&SECRET, world.now());
        // Not from another network, and nothing is looked at there.
        let before = world.scan().await;
        let away = confirm(&world, AWAY, &code).await;
        assert!(away.status == 404 && html(&away).contains("No log-in from your network waits"), "{away:?}");
        let unknown = post(&world, HOME, "email=nobody%40example.com&code=123456").await;
        assert_eq!((unknown.status, &unknown.body), (404, &away.body), "an unknown address is answered the same");
        assert_eq!(world.scan().await, before);
        let done = confirm(&world, HOME, &code).await;
        assert!(done.status == 200 && html(&done).contains("Your log-in is confirmed"), "{done:?}");
        assert!(app.is_in().await);
        assert_eq!(world.count_events(&user, "token_confirmed").await, 1);
        // The code is spent, and nothing waits any more.
        assert_eq!(confirm(&world, HOME, &code).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn of_several_the_owner_chooses_one() {
    let world = enrolled().await;
    let first = log_in(&world, HOME, APP).await;
    world.clock.advance(40);
    // Somebody else with the password, on the same network.
    let second = log_in(&world, HOME, "Evil/6.6").await;
    log_in(&world, AWAY, APP).await;
    let code = code_of(&SECRET, world.now());
    let before = world.scan().await;
    let asked = confirm(&world, HOME, &code).await;
    let page = html(&asked);
    assert!(page.contains("Evil/6.6, 0 seconds ago") && page.contains("Java/1.5.0, 40 seconds ago"), "{page}");
    assert!(page.contains("action=\"?email=alice%40example.com\""), "{page}");
    assert_eq!((asked.status, page.matches("type=\"radio\"").count()), (200, 2), "the one from elsewhere is not shown");
    assert_eq!(world.scan().await, before, "the code is not looked at");
    let logins: Vec<&str> = page.split("name=\"login\" value=\"").skip(1).map(|rest| &rest[..32]).collect();
    let choose = async |login: &str, code: &str| {
        let click = world.client().post(&format!("{PATH}?email=alice%40example.com")).header("x-test-address", HOME);
        click.raw(format!("login={login}&code={code}")).send().await
    };
    assert_eq!(choose(logins[1], &code).await.status, 200);
    assert!(first.is_in().await && !second.is_in().await);
}

#[tokio::test]
async fn wrong_codes_are_charged_and_waited_for_and_only_a_log_in_lets_anybody_guess() {
    let world = enrolled().await;
    // Without a log-in nothing is charged, however often.
    let before = world.scan().await;
    for n in 0..20 {
        assert_eq!(confirm(&world, HOME, &format!("{n:06}")).await.status, 404);
    }
    assert_eq!(world.scan().await, before);
    let app = log_in(&world, HOME, APP).await;
    let mut last = None;
    for n in 0..10 {
        let answer = confirm(&world, HOME, &format!("{n:06}")).await;
        assert!([400, 429].contains(&answer.status), "{answer:?}");
        let page = html(&answer);
        assert!(answer.status != 400 || page.contains("The code is wrong"), "{page}");
        last = Some(answer);
    }
    let last = last.unwrap();
    assert!(last.status == 429 && last.header("retry-after").is_some(), "{last:?}");
    assert!(!app.is_in().await);
}

#[tokio::test]
async fn a_log_in_waits_a_quarter_of_an_hour_and_not_beyond_a_change() {
    let world = enrolled().await;
    let app = log_in(&world, HOME, APP).await;
    world.clock.advance(15 * 60);
    assert_eq!(confirm(&world, HOME, &code_of(&SECRET, world.now())).await.status, 404);
    assert!(!app.is_in().await);
    for (form, status) in [
        ("code=123456", 400),
        ("email=&code=1", 400),
        ("email=a%40b%40c&code=1", 400),
        ("email=alice%40example.com&code=%3Cscript%3E&login=%3Cscript%3E", 404),
    ] {
        let answer = post(&world, HOME, form).await;
        assert_eq!(answer.status, status, "{form}");
        assert!(!html(&answer).contains("<script"));
    }
    // A host that knows no networks cannot confirm anything.
    log_in(&world, HOME, APP).await;
    let nowhere = world.client().post(PATH).raw("email=alice%40example.com&code=123456").send().await;
    assert_eq!(nowhere.status, 404);
    // An account without a second factor has nothing that waits.
    world.settle(&bob()).await;
    assert_eq!(post(&world, HOME, "email=bob%40example.com&code=123456").await.status, 404);
}

/// The recovery code does as it does at `grantType=2fa`.
#[tokio::test]
async fn the_recovery_code_confirms_too() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let recovery = world.enrol(&user, &SECRET).await;
    let app = log_in(&world, HOME, APP).await;
    assert_eq!(confirm(&world, HOME, &recovery).await.status, 200);
    assert!(app.is_in().await);
}

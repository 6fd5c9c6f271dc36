//! `docs/security.md` § 12 over HTTP: after any history of clocks, every reported wait ends when it
//! was announced to end, and sessions and credits last as long as they should, and no longer.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use keywright_core::UnixSeconds;
use keywright_nextcloud::{CREDIT_SECONDS, NextcloudPolicy, SESSION_ABSOLUTE, SESSION_LIFETIME};
use keywright_store::{Draft, Partition, guess};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Answer, Client, PASSWORD, World, alice, secret};
use crate::two_factor::{code_at, enrol, recovery};

const DAY: u64 = 86_400;
const TEN_YEARS: i64 = 10 * 365 * 86_400;
/// How far servers' clocks may differ: a session made or used so far in the future is one of now.
const SKEW: u64 = 60;

#[derive(Debug, Clone, Copy)]
enum Step {
    Clock(i64),
    /// A passphrase comes with a login: the account's password, or one of four app tokens.
    Open(usize, bool),
    /// A session of the history is used.
    Use(usize),
    Close(usize),
    WrongPassword,
    Reset(usize),
}

fn jump() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => prop::sample::select(vec![1, 29, 59, 61, 300, 599, 601, 3_600, 40_000, 86_399, 86_401]),
        3 => prop::sample::select(vec![-1, -29, -59, -61, -300, -601, -3_600, -40_000, -86_401]),
        1 => prop::sample::select(vec![TEN_YEARS, -TEN_YEARS]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let nth = || 0..5_usize;
    prop_oneof![
        6 => jump().prop_map(Step::Clock),
        8 => (nth(), prop::bool::weighted(0.4)).prop_map(|(login, right)| Step::Open(login, right)),
        4 => nth().prop_map(Step::Use),
        1 => nth().prop_map(Step::Close),
        3 => Just(Step::WrongPassword),
        2 => nth().prop_map(Step::Reset),
    ]
}

fn move_clock(world: &World, seconds: i64) {
    let now = keywright_core::Clock::now(&*world.clock).unwrap().get();
    // Between 2001 and 2286.
    let to = now.saturating_add_signed(seconds).clamp(1_000_000_000, 10_000_000_000);
    world.clock.set(UnixSeconds::new(to).unwrap());
}

async fn unlock(world: &World) {
    let unlock = |draft: &mut Draft<'_>| guess::unlock_all(draft).map(drop);
    world.driver.transact(&Partition::account(&alice()), &[guess::LEDGER.name()], unlock).await.unwrap();
}

/// A session of a login that is admitted, whatever was guessed before.
async fn opened(world: &World, token: &str) -> Client {
    unlock(world).await;
    world.opened(token).await
}

async fn is_alive(client: &mut Client) -> bool {
    client.get("account/challenge/get").await.status == 200
}

struct History {
    world: World,
    /// Sessions that were opened with a proof.
    sessions: Vec<Client>,
}

impl History {
    /// The account's password and four of its app tokens; five wrong proofs end a token, which is
    /// then made again.
    fn login(&self, nth: usize) -> Client {
        if nth == 0 { self.world.password() } else { self.world.token(&format!("t{nth}")) }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Clock(seconds) => move_clock(&self.world, seconds),
            Step::Open(login, right) => {
                let mut client = self.login(login);
                let proof = secret(if right { 1 } else { 9 });
                if client.open(&proof).await.status == 200 {
                    self.sessions.push(client);
                }
            }
            Step::Use(nth) => {
                if let Some(client) = self.sessions.get_mut(nth) {
                    client.get("session/keepalive").await;
                }
            }
            Step::Close(nth) => {
                if let Some(client) = self.sessions.get_mut(nth) {
                    client.get("session/close").await;
                }
            }
            Step::WrongPassword => drop(self.world.client("alice", "wrong").get("session/request").await),
            Step::Reset(nth) => drop(self.login(nth).post("account/reset", json!({})).await),
        }
    }

    /// A client that is told to wait tries again: a second later, when the wait is nearly over, and
    /// when it is over.
    async fn comes_true(&self, most: u64, ask: impl AsyncFn() -> Answer) -> Answer {
        let answer = ask().await;
        // Nobody can try again with an app token that this has ended.
        let Some(first) = answer.retry_after().filter(|_| answer.status != 403) else { return answer };
        assert!((1..=most).contains(&first), "{answer:?}");
        if first > 1 {
            self.world.clock.advance(1);
            // A charge names its wait too, and so do all that follow.
            assert_eq!(ask().await.retry_after(), Some(first - 1), "told twice, in two ways");
            self.world.clock.advance(first.saturating_sub(2));
            if first > 2 {
                assert_eq!(ask().await.retry_after(), Some(1));
            }
        }
        self.world.clock.advance(1);
        let answer = ask().await;
        assert!(!matches!(answer.status, 429 | 503), "{first} seconds are over: {answer:?}");
        answer
    }

    /// Two secrets in one request: one wait is reported, the longer one.
    async fn waits_for_both_come_true(&self) {
        for login in 0..2 {
            let opens = async || {
                let body = json!({"challenge": secret(9), "token": {"totp": wrong_code(&self.world)}});
                self.login(login).post("session/open", body).await
            };
            self.comes_true(2 * DAY, opens).await;
        }
    }

    async fn waits_come_true(&self) {
        for login in 0..3 {
            let opens = async || self.login(login).open(&secret(9)).await;
            self.comes_true(2 * DAY, opens).await;
            // The result of that guess is reported the same way: to the login that is left.
            self.comes_true(2 * DAY, async || self.world.password().get("session/request").await).await;
        }
        for _ in 0..2 {
            let wrong = async || self.world.client("alice", "wrong").get("session/request").await;
            self.comes_true(2 * DAY, wrong).await;
        }
    }

    /// A session lives 600 seconds beyond its last use, and none longer than a day; older ones may
    /// exceed that only by as much as clocks may differ.
    async fn sessions_end(&mut self) {
        let mut idle = opened(&self.world, "t5").await;
        let mut busy = opened(&self.world, "t6").await;
        let mut early = opened(&self.world, "t7").await;
        self.world.clock.advance(SESSION_LIFETIME);
        assert!(is_alive(&mut early).await && is_alive(&mut busy).await);
        self.world.clock.advance(1);
        assert!(!is_alive(&mut idle).await);
        self.world.clock.advance(SKEW);
        for client in &mut self.sessions {
            assert!(!is_alive(client).await, "nobody has used it for ten minutes");
        }
        let mut alive = [busy, early];
        let mut left = SESSION_ABSOLUTE - SESSION_LIFETIME - 1 - SKEW;
        while left > 500 {
            self.world.clock.advance(500);
            left -= 500;
            for client in &mut alive {
                assert!(is_alive(client).await, "{left} seconds are left");
            }
        }
        self.world.clock.advance(left);
        for client in &mut alive {
            assert!(is_alive(client).await);
        }
        self.world.clock.advance(1);
        for client in &mut alive {
            assert!(!is_alive(client).await, "a day is over");
        }
    }
}

/// A right token beside a wrong passphrase is worth five minutes of its session, whatever the clock did before.
async fn credits_last_five_minutes(world: &World, code: &str, older: &mut [Client]) {
    unlock(world).await;
    let slip = async |client: &mut Client| {
        let body = json!({"challenge": secret(9), "token": {"backup_codes": code}});
        client.post("session/open", body).await.fails(401, "ab6e13ba");
    };
    let mut client = world.token("t9");
    slip(&mut client).await;
    world.clock.advance(CREDIT_SECONDS - 1);
    unlock(world).await;
    let mut late = client.clone();
    client.open(&secret(1)).await.is(200, json!({"success": true, "keys": []}));
    world.clock.advance(1);
    late.open(&secret(1)).await.fails(401, "c0980e3c");
    // What is left of earlier ones ends with their sessions.
    world.clock.advance(SESSION_LIFETIME + 1 + SKEW - CREDIT_SECONDS);
    for client in older {
        let status = client.open(&secret(1)).await.status;
        assert_eq!(status, 401, "a credit of long ago");
    }
}

/// A code that Alice's app shows at no time near.
fn wrong_code(world: &World) -> String {
    let now = keywright_core::Clock::now(&*world.clock).unwrap().get();
    let shown: Vec<String> = (0..20).map(|step| code_at(now - 300 + step * 30)).collect();
    (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
}

#[derive(Debug, Clone, Copy)]
enum Both {
    Clock(i64),
    WrongToken(usize),
    WrongPassphrase(usize),
}

fn both() -> impl Strategy<Value = Both> {
    prop_oneof![
        2 => jump().prop_map(Both::Clock),
        3 => (0..5_usize).prop_map(Both::WrongToken),
        3 => (0..5_usize).prop_map(Both::WrongPassphrase),
    ]
}

/// The reported wait of a reset is correct: from its end on, for a minute, the reset is done.
async fn a_reset_is_done_when_it_was_told(world: &World) {
    let mut client = world.password();
    let asked = client.reset_by_password(PASSWORD).await;
    let answer = match asked.retry_after() {
        Some(seconds) => {
            world.clock.advance(seconds);
            client.reset_by_password(PASSWORD).await
        }
        None => asked,
    };
    let wait = answer.json()["wait"].as_u64().unwrap_or_else(|| panic!("{answer:?}"));
    world.clock.advance(wait);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
}

#[derive(Debug, Clone, Copy)]
enum Slip {
    Clock(i64),
    /// A right token beside a wrong passphrase, in a session of its own or in the last one.
    Credit(bool),
    Try,
}

fn slip() -> impl Strategy<Value = Slip> {
    prop_oneof![
        3 => jump().prop_map(Slip::Clock),
        2 => any::<bool>().prop_map(Slip::Credit),
        1 => Just(Slip::Try),
    ]
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_of_clocks_what_is_told_comes_true(
        steps in prop::collection::vec(step(), 1..60), back in jump(),
    ) {
        block_on(async {
            let world = World::new().await;
            world.with_challenge().await;
            let mut history = History { world, sessions: Vec::new() };
            for step in steps {
                history.run(step).await;
            }
            history.waits_come_true().await;
            move_clock(&history.world, back);
            history.waits_come_true().await;
            move_clock(&history.world, back);
            history.sessions_end().await;
        });
    }

    #[test]
    fn a_credit_lasts_five_minutes_after_any_history_of_clocks(slips in prop::collection::vec(slip(), 1..12)) {
        block_on(async {
            let world = World::new().await;
            world.with_challenge().await;
            enrol(&world).await;
            let mut codes = recovery(&world).await;
            let mut clients: Vec<Client> = Vec::new();
            for slip in slips {
                unlock(&world).await;
                match slip {
                    Slip::Clock(seconds) => move_clock(&world, seconds),
                    Slip::Credit(anew) if codes.len() > 1 => {
                        if anew || clients.is_empty() {
                            clients.push(world.token(&format!("t{}", clients.len())));
                        }
                        let (client, code) = (clients.last_mut().unwrap(), codes.pop().unwrap());
                        let body = json!({"challenge": secret(9), "token": {"backup_codes": code}});
                        client.post("session/open", body).await;
                    }
                    Slip::Credit(_) => {}
                    Slip::Try => {
                        if let Some(client) = clients.last_mut() {
                            client.open(&secret(9)).await;
                        }
                    }
                }
            }
            credits_last_five_minutes(&world, &codes.pop().unwrap(), &mut clients).await;
        });
    }

    #[test]
    fn after_any_history_of_clocks_what_is_told_for_token_and_passphrase_comes_true(
        steps in prop::collection::vec(both(), 1..60), back in jump(),
    ) {
        block_on(async {
            let policy = NextcloudPolicy::builder().require_token(false).build().unwrap();
            let world = World::with(policy).await;
            world.with_challenge().await;
            enrol(&world).await;
            let history = History { world, sessions: Vec::new() };
            for step in steps {
                match step {
                    Both::Clock(seconds) => move_clock(&history.world, seconds),
                    Both::WrongToken(login) => {
                        let token = json!({"totp": wrong_code(&history.world)});
                        let body = json!({"challenge": secret(1), "token": token});
                        history.login(login).post("session/open", body).await;
                    }
                    Both::WrongPassphrase(login) => drop(history.login(login).open(&secret(9)).await),
                }
            }
            history.waits_for_both_come_true().await;
            move_clock(&history.world, back);
            history.waits_for_both_come_true().await;
        });
    }

    /// The older reset, after any history of clocks in which it was requested and not waited for.
    #[test]
    fn a_reset_is_done_when_it_was_told_after_any_history_of_clocks(
        jumps in prop::collection::vec((jump(), any::<bool>()), 0..20),
    ) {
        block_on(async {
            let world = World::waiting().await;
            for (seconds, wrong) in jumps {
                let password = if wrong { "wrong" } else { PASSWORD };
                world.password().reset_by_password(password).await;
                move_clock(&world, seconds);
            }
            a_reset_is_done_when_it_was_told(&world).await;
        });
    }
}

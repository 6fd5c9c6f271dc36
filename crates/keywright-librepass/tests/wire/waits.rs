//! `docs/security.md` § 12 over HTTP: after any history of clocks, every reported wait ends when it
//! was announced to end, and what is announced to last for a time lasts that long.

use keywright_core::UnixSeconds;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{Answer, Client, PUBLIC, Person, World, alice, bob, code_of};
use crate::vaults::with_address;

const DAY: u64 = 86_400;
const TEN_YEARS: i64 = 10 * 365 * 86_400;
const THIRTY_DAYS: u64 = 30 * DAY;
/// Nobody's address yet; many register with it.
const WANTED: &str = "wanted@example.com";
const NETWORKS: [&str; 5] = ["192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8:1:2::3", "2001:db8:1:9::4"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Clock(i64),
    Hint,
    Register(usize),
    Resend(usize),
    /// A wrong log-in.
    Wrong(usize),
    LogIn,
    /// A token of an earlier log-in.
    Use(usize),
    /// So many changes of address are requested.
    Ask(u8),
}

const SECRET: [u8; 20] = [7; 20];

#[derive(Debug, Clone, Copy)]
enum Both {
    Clock(i64),
    WrongKey,
    WrongCode,
}

/// The token that sends requests is used all the time, and must not end.
fn both() -> impl Strategy<Value = Both> {
    prop_oneof![
        2 => jump().prop_map(|seconds| Both::Clock(seconds.clamp(-90_001, 90_001))),
        2 => Just(Both::WrongKey),
        3 => Just(Both::WrongCode),
    ]
}

fn jump() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => prop::sample::select(vec![1, 30, 59, 61, 300, 3_600, 40_000, 86_399, 86_400, 90_001, 2_592_000]),
        3 => prop::sample::select(vec![-1, -30, -61, -300, -3_600, -40_000, -86_400, -90_001, -2_592_000]),
        1 => prop::sample::select(vec![TEN_YEARS, -TEN_YEARS]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let network = || 0..NETWORKS.len();
    prop_oneof![
        6 => jump().prop_map(Step::Clock),
        4 => Just(Step::Hint),
        4 => network().prop_map(Step::Register),
        2 => network().prop_map(Step::Resend),
        3 => network().prop_map(Step::Wrong),
        1 => Just(Step::LogIn),
        2 => (0..4_usize).prop_map(Step::Use),
        1 => (1..6_u8).prop_map(Step::Ask),
    ]
}

struct History {
    world: World,
    user: keywright_librepass::UserId,
    tokens: Vec<Client>,
}

impl History {
    async fn new() -> Self {
        let world = World::new().await;
        let user = world.settle(&alice()).await;
        world.settle(&bob()).await;
        world.fill(&user, &alice(), 1).await;
        let tokens = vec![world.client_of(&alice()).await];
        Self { world, user, tokens }
    }

    fn jump(&self, seconds: i64) {
        // Between 2001 and 2286.
        let to = self.world.now().saturating_add_signed(seconds).clamp(1_000_000_000, 10_000_000_000);
        self.world.clock.set(UnixSeconds::new(to).unwrap());
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Clock(seconds) => self.jump(seconds),
            Step::Hint => drop(self.hint().await),
            Step::Register(network) => drop(self.register(network).await),
            Step::Resend(network) => drop(self.resend(network).await),
            Step::Wrong(network) => drop(self.guess(network, false).await),
            Step::LogIn => {
                let answer = self.guess(0, true).await;
                if answer.status == 200 {
                    self.keep(&answer.json());
                }
            }
            Step::Use(nth) => {
                if let Some(client) = self.tokens.get(nth % self.tokens.len()) {
                    client.is_in().await;
                }
            }
            Step::Ask(times) => {
                for _ in 0..times {
                    self.ask().await;
                }
            }
        }
    }

    fn keep(&mut self, body: &Value) {
        let token = body["apiKey"].as_str().unwrap();
        self.tokens.push(self.world.client().with_token(token));
    }

    async fn hint(&self) -> Answer {
        let path = format!("/api/auth/passwordHint?email={}", alice().email);
        self.world.client().get(&path).send().await
    }

    async fn register(&self, network: usize) -> Answer {
        let body = self.world.registration(&Person::new(WANTED)).await;
        let request = self.world.client().post("/api/auth/register").header("x-test-address", NETWORKS[network]);
        request.json(&body).send().await
    }

    async fn resend(&self, network: usize) -> Answer {
        let path = format!("/api/auth/resendVerificationEmail?email={WANTED}");
        self.world.client().get(&path).header("x-test-address", NETWORKS[network]).send().await
    }

    async fn guess(&self, network: usize, right: bool) -> Answer {
        let shared = if right { alice() } else { bob() }.shared(&self.world.server_key().await);
        let request = self.world.client().log_in(&alice().email, &shared);
        request.header("x-test-address", NETWORKS[network]).send().await
    }

    /// Requests the deletion of the account, by the key of Alice or of another, and with a code
    /// that her app shows at no time near.
    async fn delete(&self, person: &Person) -> Answer {
        let shown: Vec<String> = (0..20).map(|step| code_of(&SECRET, self.world.now() - 300 + step * 30)).collect();
        let code = (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap();
        let key = person.shared(&self.world.server_key().await);
        let body = serde_json::json!({"sharedKey": key, "code": code});
        self.tokens[0].request("DELETE", "/api/user/delete").json(&body).send().await
    }

    /// Requests a change to an address that is taken, with any of the account's tokens. Returns
    /// `None` if none is valid.
    async fn ask(&self) -> Option<Answer> {
        let body = self.world.address_body(&self.user, &alice(), &with_address(&alice(), &bob().email)).await;
        for client in self.tokens.iter().rev() {
            let answer = client.change_address(&body).await;
            if answer.status != 401 {
                return Some(answer);
            }
        }
        None
    }

    /// A client that is told to wait tries again: once in the meantime, and when the wait is over.
    async fn comes_true(&self, most: u64, ask: impl AsyncFn() -> Option<Answer>) -> Option<Answer> {
        let wait = |answer: &Answer| answer.header("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
        let answer = ask().await?;
        let Some(first) = wait(&answer) else { return Some(answer) };
        assert!((1..=most).contains(&first), "{answer:?}");
        if first > 1 {
            self.world.clock.advance(1);
            let answer = ask().await?;
            // What is shared with others may end sooner, as soon as a mail of one's own no longer counts.
            let Some(second) = wait(&answer) else { return Some(answer) };
            assert!(second < first, "told {first}, and then {answer:?}");
            self.world.clock.advance(first - 2);
            if let Some(answer) = ask().await.filter(|answer| wait(answer).is_none()) {
                return Some(answer);
            }
        }
        self.world.clock.advance(1);
        let answer = ask().await?;
        assert_eq!(wait(&answer), None, "{first} seconds are over: {answer:?}");
        Some(answer)
    }

    async fn all_comes_true(&self) {
        self.comes_true(DAY, async || Some(self.hint().await)).await.unwrap().is_empty();
        for network in 0..NETWORKS.len() {
            let registered = self.comes_true(DAY, async || Some(self.register(network).await)).await;
            registered.unwrap().is(201, serde_json::json!({}));
            let sent = self.comes_true(DAY, async || Some(self.resend(network).await)).await.unwrap();
            // The last registration may have ended while it waited.
            assert!(sent.status == 200 || sent.status == 404, "{sent:?}");
            // The level may take two days to leak.
            self.comes_true(2 * DAY, async || Some(self.guess(network, false).await)).await;
        }
        if let Some(asked) = self.comes_true(DAY, async || self.ask().await).await {
            asked.fails(400, "LP-Duplicated");
        }
    }

    /// The link that is mailed now is good for a day, and not for a second more.
    async fn links_last_a_day(&self) {
        let registered = self.comes_true(DAY, async || Some(self.register(0).await)).await;
        registered.unwrap().is(201, serde_json::json!({}));
        let link = self.world.host.link_to(WANTED).unwrap();
        let open = async || self.world.client().get(link.strip_prefix(PUBLIC).unwrap()).send().await;
        if self.world.now().is_multiple_of(2) {
            self.world.clock.advance(DAY);
            open().await.fails(400, "LP-Email-Invalid-Code");
        } else {
            self.world.clock.advance(DAY - 1);
            open().await.redirects();
            // Whatever others have registered with before.
            self.register(1).await.fails(400, "LP-Duplicated");
        }
    }

    /// A token that is used now lives thirty days, and not a second more; so does one that is made now.
    async fn tokens_last_thirty_days(&mut self) {
        let fresh = self.comes_true(2 * DAY, async || Some(self.guess(0, true).await)).await.unwrap();
        self.keep(&fresh.ok());
        let mut good = Vec::new();
        for client in &self.tokens {
            good.push(client.is_in().await);
        }
        assert_eq!(good.last(), Some(&true));
        // Written every five minutes, so a use may count as one of five minutes ago.
        self.world.clock.advance(THIRTY_DAYS - 300);
        for (client, good) in self.tokens.iter().zip(good) {
            assert_eq!(client.is_in().await, good);
        }
        self.world.clock.advance(THIRTY_DAYS);
        for client in &self.tokens {
            assert!(!client.is_in().await, "it was used thirty days ago");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_of_clocks_what_is_told_comes_true(
        steps in prop::collection::vec(step(), 1..50), back in jump(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut history = History::new().await;
            for step in steps {
                history.run(step).await;
            }
            history.all_comes_true().await;
            // Once more, after a jump that nobody was told of.
            history.jump(back);
            history.all_comes_true().await;
            history.jump(back);
            history.tokens_last_thirty_days().await;
            history.jump(-back);
            history.links_last_a_day().await;
        });
    }

    /// Two proofs in one request, the password's and a code: one wait is reported, the longer one.
    #[test]
    fn after_any_history_of_clocks_what_is_told_for_two_proofs_comes_true(
        steps in prop::collection::vec(both(), 1..20), back in jump(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let history = History::new().await;
            history.world.enrol(&history.user, &SECRET).await;
            // Ten wrong ones of a known client lock it out, until someone acts.
            let mut left = [5_u8, 5];
            for step in steps {
                let (person, left) = match step {
                    Both::Clock(seconds) => {
                        history.jump(seconds);
                        continue;
                    }
                    Both::WrongKey => (bob(), &mut left[0]),
                    Both::WrongCode => (alice(), &mut left[1]),
                };
                if let Some(fewer) = left.checked_sub(1) {
                    *left = fewer;
                    history.delete(&person).await;
                }
            }
            for back in [0, back.clamp(-40_000, 40_000)] {
                history.jump(back);
                for person in [alice(), bob()] {
                    history.comes_true(DAY, async || Some(history.delete(&person).await)).await;
                }
            }
        });
    }
}

//! `docs/security.md` § 12 over HTTP: after any history of clocks, every reported wait ends when it
//! was announced to end, by the answer's seconds and by its header's time, and a mailed code lasts
//! as long as announced.

use keywright_core::UnixSeconds;
use keywright_store::guess;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Client, Person, TARGET, USER, World};

const DAY: u64 = 86_400;
const TEN_YEARS: i64 = 10 * 365 * 86_400;
/// How long a mailed code lasts.
const LIFE: u64 = 3_600;
/// How many logins each person has.
const LOGINS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Clock(i64),
    /// A login requests a code by mail, for its own keys or another's.
    Ask(usize, bool),
    /// A wrong code is sent for that.
    WrongMailed(usize, bool),
    /// The code that was mailed last is sent for that.
    Mailed(usize, bool),
    /// A client without a login requests it once more.
    Again,
    WrongPassword(usize),
    WrongTotp(usize),
}

fn jump() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => prop::sample::select(vec![1, 29, 59, 60, 61, 600, 3_599, 3_600, 3_601, 40_000, 86_399, 86_401]),
        3 => prop::sample::select(vec![-1, -29, -59, -61, -600, -3_600, -3_601, -40_000, -86_401]),
        1 => prop::sample::select(vec![TEN_YEARS, -TEN_YEARS]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let login = || 0..LOGINS;
    prop_oneof![
        6 => jump().prop_map(Step::Clock),
        4 => (login(), any::<bool>()).prop_map(|(login, own)| Step::Ask(login, own)),
        4 => (login(), any::<bool>()).prop_map(|(login, own)| Step::WrongMailed(login, own)),
        1 => (login(), any::<bool>()).prop_map(|(login, own)| Step::Mailed(login, own)),
        2 => Just(Step::Again),
        3 => login().prop_map(Step::WrongPassword),
        3 => login().prop_map(Step::WrongTotp),
    ]
}

struct History {
    world: World,
}

impl History {
    /// The admin has mailed codes, the target a password alone, the user an app.
    async fn new() -> Self {
        let world = World::new().await.without_totp(ADMIN).await.with_email(ADMIN).await.without_totp(TARGET).await;
        Self { world }
    }

    fn jump(&self, seconds: i64) {
        // Between 2001 and 2286.
        let to = self.world.now().saturating_add_signed(seconds).clamp(1_000_000_000, 10_000_000_000);
        self.world.clock.set(UnixSeconds::new(to).unwrap());
    }

    fn login(&self, person: Person, nth: usize) -> Client {
        self.world.other_client(person, nth)
    }

    /// An act that needs a code, with one or without.
    async fn act(&self, login: usize, own: bool, code: Option<&str>) -> Answer {
        let client = self.login(ADMIN, login);
        let act = if own { client.reset() } else { client.reset_of(USER.id) };
        match code {
            Some(code) => act.code(code).send().await,
            None => act.send().await,
        }
    }

    async fn wrong_password(&self, login: usize) -> Answer {
        self.login(TARGET, login).post("users.2fa.disableEmail").code(&ADMIN.password()).send().await
    }

    async fn wrong_totp(&self, login: usize) -> Answer {
        self.login(USER, login).post("users.2fa.disableEmail").code(&self.world.wrong_totp(USER)).send().await
    }

    async fn run(&self, step: Step) {
        match step {
            Step::Clock(seconds) => self.jump(seconds),
            Step::Ask(login, own) => drop(self.act(login, own, None).await),
            Step::WrongMailed(login, own) => drop(self.act(login, own, Some("000000")).await),
            Step::Mailed(login, own) => {
                if self.world.host.codes() > 0 {
                    self.act(login, own, Some(&self.world.host.last_code())).await;
                }
            }
            Step::Again => {
                let body = json!({"emailOrUsername": ADMIN.email});
                self.login(ADMIN, 0).post("users.2fa.sendEmailCode").json(&body).send().await.succeeds();
            }
            Step::WrongPassword(login) => drop(self.wrong_password(login).await),
            Step::WrongTotp(login) => drop(self.wrong_totp(login).await),
        }
    }

    /// The seconds that an answer announces as a wait; its header's time agrees.
    fn wait(&self, answer: &Answer) -> Option<u64> {
        if answer.status != 429 {
            assert!(matches!(answer.status, 200 | 400), "{answer:?}");
            return None;
        }
        let seconds = answer.seconds("retry-after");
        assert_eq!(answer.seconds("x-ratelimit-reset"), (self.world.now() + seconds) * 1_000, "{answer:?}");
        Some(seconds)
    }

    /// A client that is told to wait tries again: a second later, when the wait is nearly over, and
    /// when it is over.
    async fn comes_true(&self, most: u64, ask: impl AsyncFn() -> Answer) -> Answer {
        let (answer, begun) = (ask().await, self.world.now());
        let Some(first) = self.wait(&answer) else { return answer };
        assert!((1..=most).contains(&first), "{answer:?}");
        // What waits for a mail may end sooner: a code that is void, because the clock that made it was ahead, is good once
        // the clock gets there.
        for pass in [1, first - 1] {
            if first > 1 && (self.world.now() - begun) < pass {
                self.world.clock.advance(pass - (self.world.now() - begun));
                let answer = ask().await;
                let Some(left) = self.wait(&answer) else { return answer };
                assert_eq!(left, first - pass, "told twice, in two ways");
            }
        }
        self.world.clock.advance(1);
        let answer = ask().await;
        assert_eq!(self.wait(&answer), None, "{first} seconds are over: {answer:?}");
        answer
    }

    async fn waits_come_true(&self) {
        for login in 0..LOGINS {
            self.comes_true(2 * DAY, async || self.wrong_password(login).await).await.fails("totp-invalid");
            self.comes_true(2 * DAY, async || self.wrong_totp(login).await).await.fails("totp-invalid");
            for own in [false, true] {
                // The ledger's wait and the mails' are reported as one.
                self.comes_true(2 * DAY, async || self.act(login, own, None).await).await.fails("totp-required");
                self.comes_true(2 * DAY, async || self.act(login, own, Some("000000")).await).await;
            }
        }
    }

    /// A code that is mailed now is accepted until its end, which every answer states. Then another
    /// is mailed.
    async fn codes_last_as_told(&self, last_second: bool) {
        let unlock = |draft: &mut keywright_store::Draft<'_>| guess::unlock_all(draft).map(drop);
        let asked = loop {
            self.world.step(ADMIN, unlock).await;
            let asked = self.comes_true(2 * DAY, async || self.act(9, true, None).await).await;
            let details = asked.fails("totp-required").json()["details"].clone();
            if details["codeGenerated"] == json!(true) {
                break self.world.now();
            }
            self.world.clock.advance(LIFE);
        };
        let code = self.world.host.last_code();
        let told = self.act(9, true, None).await.fails("totp-required").json()["details"]["codeExpires"].clone();
        assert_eq!(moment(&told), asked + LIFE);
        self.world.clock.set(UnixSeconds::new(asked + LIFE - u64::from(last_second)).unwrap());
        let answer = self.act(9, true, Some(&code)).await;
        if last_second {
            answer.succeeds();
            return;
        }
        assert_ne!(answer.status, 200, "its time is over");
        let mailed = self.world.host.codes();
        self.comes_true(2 * DAY, async || self.act(9, true, None).await).await.fails("totp-required");
        let (codes, last) = (self.world.host.codes(), self.world.host.last_code());
        // Perhaps with the answer to the old one already.
        assert!(codes > mailed || last != code, "nothing is pending, and nothing is mailed");
    }
}

/// The seconds since 1970 of a time in the protocol's form, from 2001 to 2286.
fn moment(told: &Value) -> u64 {
    let text = told.as_str().unwrap_or_else(|| panic!("{told:?}"));
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from civil, Howard Hinnant: years begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    (days - 719_468) * DAY + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_of_clocks_what_is_told_comes_true(
        steps in prop::collection::vec(step(), 1..60), back in jump(), last_second in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let history = History::new().await;
            for step in steps {
                history.run(step).await;
            }
            history.waits_come_true().await;
            history.jump(back);
            history.waits_come_true().await;
            history.jump(back);
            history.codes_last_as_told(last_second).await;
        });
    }
}

//! How an operator admits an owner whom unknown clients have locked out of each LibrePass secret.
#![cfg(feature = "librepass")]
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use http::{Method, Request};
use keywright::librepass::{
    Host, HostError, LibrePass, LibrePassPolicy, Mail, Peer, PrivateKey, PublicKey, SHARED_KEY, UserId,
};
use keywright::twofactor::recovery::{Liveness, Preset};
use keywright::twofactor::{ImportedDevice, RECOVERY, TOTP, TotpSecret, TwoFactorPolicy, TwoFactorSteps};
use keywright::{Keywright, MemoryStore, SystemEntropy};

const ADDRESS: &str = "alice@example.com";
const SEED: [u8; 20] = [7; 20];
const HOSTILE: &str = "198.51.100.7";

struct TestHost;

impl Host for TestHost {
    async fn mail(&self, _: Mail<'_>) -> Result<(), HostError> {
        Ok(())
    }

    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        peer.headers.get("x-test-address")?.to_str().ok()?.parse().ok()
    }
}

struct World {
    base: keywright_testing::World,
    keywright: Keywright,
    app: LibrePass<TestHost>,
    key: PrivateKey,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: String,
}

impl Answer {
    /// The text of a member.
    fn text(&self, name: &str) -> &str {
        let (_, rest) = self.body.split_once(&format!("\"{name}\":\"")).unwrap();
        rest.split_once('"').unwrap().0
    }
}

async fn send(app: &LibrePass<TestHost>, from: &str, (method, path): (Method, &str), body: String) -> Answer {
    let request = Request::builder().method(method).uri(path).header("x-test-address", from).body(body).unwrap();
    let response = app.handle(request).await;
    let retry_after = response.headers().get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    Answer {
        status: response.status().as_u16(),
        retry_after,
        body: String::from_utf8(response.body().to_vec()).unwrap(),
    }
}

impl World {
    /// Alice with a second factor and a recovery code.
    async fn new() -> (Self, String) {
        let base = keywright_testing::World::builder().start(1_800_000_000).open();
        let builder = Keywright::builder(MemoryStore::new()).keyring(keywright_testing::keyring());
        let keywright = builder.clock(base.clock.clone()).open().await.unwrap();
        let policy = LibrePassPolicy::builder("https://pass.example").verify_email(false).build().unwrap();
        let app = keywright.librepass(Arc::new(TestHost), policy).await.unwrap();
        let key = PrivateKey::random(&SystemEntropy).unwrap();
        let mut world = Self { base, keywright, app, key };
        let body = format!(
            r#"{{"email": "{ADDRESS}", "sharedKey": "{}", "parallelism": 3, "memory": 65536, "iterations": 4, "publicKey": "{}"}}"#,
            world.shared().await,
            world.key.public_key().to_hex().expose()
        );
        let made = send(&world.app, "192.0.2.9", (Method::POST, "/api/auth/register"), body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let user = UserId::parse(world.log_in("192.0.2.9").await.text("userId")).unwrap();
        world.base = world.base.of(user.account().clone());
        let factors = TwoFactorPolicy::builder().recovery(Preset::LibrePass).end_other_logins(false).build().unwrap();
        let factors = TwoFactorSteps::new(factors, world.keywright.driver().ledger_policy()).unwrap();
        let device = ImportedDevice::new("app", TotpSecret::from_slice(&SEED).unwrap());
        let enrol = |draft: &mut keywright::store::Draft<'_>| {
            let _ = factors.import_device_in(draft, &device)?;
            factors.make_recovery_in(draft, Liveness::Now, keywright::core::Client::unknown())
        };
        let codes =
            world.keywright.driver().run(&(&world.account).into(), keywright::twofactor::SLOTS, enrol).await.unwrap();
        let recovery = codes.iter().next().unwrap().to_owned();
        (world, recovery)
    }

    async fn shared(&self) -> String {
        let path = "/api/auth/preLogin?email=";
        let offer = send(&self.app, HOSTILE, (Method::GET, path), String::new()).await;
        let server = PublicKey::from_hex(offer.text("serverPublicKey")).unwrap();
        self.key.agree(&server).unwrap().to_hex().expose().to_owned()
    }

    async fn log_in_with(&self, from: &str, shared: &str) -> Answer {
        let body = format!(r#"{{"email": "{ADDRESS}", "sharedKey": "{shared}"}}"#);
        send(&self.app, from, (Method::POST, "/api/auth/oauth?grantType=login"), body).await
    }

    async fn log_in(&self, from: &str) -> Answer {
        self.log_in_with(from, &self.shared().await).await
    }

    async fn prove(&self, from: &str, token: &str, code: &str) -> Answer {
        let body = format!(r#"{{"apiKey": "{token}", "code": "{code}"}}"#);
        send(&self.app, from, (Method::POST, "/api/auth/oauth?grantType=2fa"), body).await
    }

    /// Logs in with a code.
    async fn enter(&self, from: &str, code: &str) -> u16 {
        let token = self.log_in(from).await.text("apiKey").to_owned();
        self.prove(from, &token, code).await.status
    }

    fn code(&self) -> String {
        self.clock.advance(30);
        totp_rs::Builder::new().with_secret(SEED).build_noncompliant().generate(self.now()).to_string()
    }

    /// Guesses until others have to wait for as long as `seconds`.
    async fn shut_out(&self, seconds: u64, guess: impl AsyncFn(usize) -> Answer) {
        for n in 0.. {
            let answer = guess(n).await;
            match answer.retry_after {
                None => assert_eq!(answer.status, 400, "{}", answer.body),
                Some(wait) if wait >= seconds => return,
                Some(wait) => self.clock.advance(wait),
            }
        }
    }

    async fn unlock(&self) -> Vec<String> {
        let lifted = self.keywright.operator().unlock(&self.account).await.unwrap();
        lifted.iter().map(|secret| secret.as_str().to_owned()).collect()
    }
}

#[tokio::test]
async fn the_operator_lets_the_owner_in_at_every_secret() {
    let (world, recovery) = World::new().await;
    // The shared key.
    world.shut_out(86_400, async |n| world.log_in_with(HOSTILE, &format!("{n:064x}")).await).await;
    assert_eq!(world.log_in("192.0.2.1").await.status, 429);
    assert!(world.unlock().await.contains(&SHARED_KEY.name().to_owned()));
    assert_eq!(world.log_in("192.0.2.1").await.status, 200);
    // Time-based codes, by somebody who knows the password.
    let thief = world.log_in(HOSTILE).await.text("apiKey").to_owned();
    world.shut_out(86_400, async |_| world.prove(HOSTILE, &thief, "000000").await).await;
    assert_eq!(world.enter("192.0.2.2", &world.code()).await, 429);
    assert!(world.unlock().await.contains(&TOTP.name().to_owned()));
    assert_eq!(world.enter("192.0.2.2", &world.code()).await, 200);
    // The recovery code, at which others can only make the owner wait.
    let thief = world.log_in(HOSTILE).await.text("apiKey").to_owned();
    let wrong = "00000000-0000-4000-8000-000000000000";
    world.shut_out(1_800, async |_| world.prove(HOSTILE, &thief, wrong).await).await;
    assert_eq!(world.enter("192.0.2.3", &recovery).await, 429);
    assert!(world.unlock().await.contains(&RECOVERY.name().to_owned()));
    assert_eq!(world.enter("192.0.2.3", &recovery).await, 200);
    // A place that the right key took may have inherited something; after that there is nothing.
    assert!(!world.unlock().await.contains(&RECOVERY.name().to_owned()));
    assert_eq!(world.unlock().await, [] as [String; 0]);
}

//! Accounts that the real services have filled, and their past.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use keywright::challenge::{ChallengeSecret, Proof, Verification};
use keywright::confirm::{Confirmation, SendOutcome};
use keywright::rekey::Swap;
use keywright::store::{Partition, StageId};
use keywright::twofactor::recovery::Liveness;
use keywright::twofactor::{CHANGE_FACTORS, VerifyOutcome};
use keywright::{AccountId, ActionName, Client, Purpose, SessionId, UnixSeconds};
use keywright_store_conformance::glass::Rows;
use serde_json::{Value, json};

use crate::host::{ALICE, account};
use crate::world::{
    ALICE_AT_HOME, DORA, DeleteVault, Login, Person, Server, World, home, salts, secret, submission, submitted,
};

/// Another member, of whom rows can be taken.
pub(super) const EMIL: &str = "emil";
/// A member who has nothing.
pub(super) const FRITZ: &str = "fritz";
/// What codes are accepted for.
pub(super) static LOG_IN: Purpose = Purpose::new("log-in");
pub(super) const SESSION: &[u8] = b"session 1";
/// Who has LibrePass, whose registration waits, and who is nobody.
pub(super) const OWNER: &str = "owner@example.com";
pub(super) const WAITING: &str = "waiting@example.com";
pub(super) const NOBODY: &str = "nobody@example.com";

/// What a member knows.
#[derive(Default)]
pub(super) struct Known {
    pub(super) typed: String,
    pub(super) mailed: String,
    pub(super) recovery: String,
    pub(super) upload: Option<StageId>,
}

/// The accounts and their past.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) server: Server,
    pub(super) user: Person,
    /// The LibrePass login: token and user.
    pub(super) login: (String, String),
    /// Links of the change of address, and of the registration that waits.
    pub(super) links: [String; 2],
    /// Alice's session.
    pub(super) session: String,
    pub(super) known: BTreeMap<&'static str, Known>,
    /// Where the address of the LibrePass user was waited for. Nobody looks there while it has an owner, and it is swept.
    pub(super) idle: Vec<Partition>,
    /// All rows, after each act.
    pub(super) past: Vec<Rows>,
    pub(super) rows: Rows,
}

pub(super) fn granted<T>(verdict: VerifyOutcome<T>) -> String {
    match verdict {
        VerifyOutcome::Granted(_) => "granted".into(),
        VerifyOutcome::NotEnrolled => "denied: not enrolled".into(),
        _ => "denied".into(),
    }
}

impl Scene {
    pub(super) async fn new() -> Self {
        let world = World::new();
        let server = world.server().await;
        let user = Person::new(OWNER, 1);
        let mut past = vec![world.glass.rows()];
        let mut snap = || past.push(world.glass.rows());
        let login = server.settle(&user).await;
        let listed = world.glass.rows().records.into_keys().filter(|(_, slot)| slot.to_string() == "lp-waiting");
        let idle = listed.map(|(partition, _)| partition).collect();
        snap();
        for name in [EMIL, FRITZ] {
            server.keywright.ensure_account(&account(name)).await.unwrap();
        }
        server.settle_member(EMIL).await;
        snap();

        let mut known: BTreeMap<&'static str, Known> = BTreeMap::new();
        for name in [DORA, EMIL] {
            known.insert(name, Known::default());
            let (member, client) = (account(name), server.client_of(name));
            let change = server.step_up(name, &CHANGE_FACTORS, SESSION).await;
            let codes = server.two_factor.make_recovery(change, Liveness::Now, client).await.unwrap();
            let codes: Vec<String> = codes.iter().map(str::to_owned).collect();
            snap();
            let wrong = server
                .two_factor
                .verify_totp(&member, "000000", &Purpose::new("log-in"), Client::unknown())
                .await
                .unwrap();
            assert_eq!(granted(wrong), "denied");
            snap();
            let right =
                server.two_factor.verify_recovery(&member, &codes[0], &Purpose::new("log-in"), client).await.unwrap();
            assert_eq!(granted(right), "granted");
            snap();
            known.entry(name).or_default().recovery = codes[1].clone();
            let challenges = server.keywright.challenges();
            let old = Proof::from_client(&secret(1)).unwrap();
            let new = ChallengeSecret::from_client(&secret(2)).unwrap();
            let replaced = challenges.replace(&member, &old, &new, &salts(2), client).await.unwrap();
            assert!(matches!(replaced, Verification::Granted(_)));
            snap();
            server.edit(name, &[(0, "newer"), (3, "fourth")], &[2]).await;
            snap();
            let body = submitted([0, 1, 3]);
            let swapped =
                server.keywright.vaults().swap(&member, &submission(&body), None, &[], |_| Ok(())).await.unwrap();
            assert!(matches!(swapped, Swap::Done { .. }), "{swapped:?}");
            snap();
            server.edit(name, &[(1, "newest")], &[]).await;
            snap();
        }

        // Alice: another passphrase, a keychain twice, a typo, a session, and a reset that is asked for.
        server.set_passphrase(2, Some(1)).await;
        snap();
        let session = server.open_session(ALICE_AT_HOME, 2).await;
        for keychain in ["first", "second"] {
            let body = json!({"id": "CSEv1r1", "data": keychain});
            server.passwords(ALICE_AT_HOME, home(), Some(&session), ("keychain/set", Some(body))).await.is(200);
            snap();
        }
        for guess in ["guess", "another"] {
            let login = Login::Password(ALICE, guess);
            server.passwords(login, home(), None, ("session/request", None)).await;
            snap();
        }
        for _ in 0..2 {
            let body = json!({"challenge": secret(9)});
            server.passwords(Login::Phone, home(), None, ("session/open", Some(body))).await.is(401);
            snap();
        }
        server.passwords(ALICE_AT_HOME, home(), Some(&session), ("account/reset", Some(json!({})))).await.is(202);
        snap();

        // Rocky: new recovery codes, and one of them wrong.
        server.clock.advance(60);
        let body = json!({"code": server.totp()});
        server.rocky(None, "users.regenerateTotpCodes", body).await.is(200);
        snap();
        server.rocky(Some("ZZZZZZZZ"), "users.resetE2EKey", json!({})).await.is(400);
        snap();

        // The LibrePass user: a wrong key, ciphers, a change of address that waits, a mail that does not go out.
        let wrong = Person::new(&user.email, 2).shared(&server.server_key().await);
        for email in [&*user.email, NOBODY, NOBODY] {
            let body = json!({"email": email, "sharedKey": wrong});
            server.pass(("POST", "/api/auth/oauth?grantType=login"), home(), None, &body).await.is(400);
            snap();
        }
        server.sync(&login, [0, 1]).await;
        snap();
        server.register(&Person::new(WAITING, 3), home()).await.is(201);
        snap();
        let waits = server.house.take(WAITING).unwrap();
        for n in 4..6 {
            server.ask_for_address(&login.0, &user, &Person::new("owner.new@example.com", n), 3).await;
            snap();
        }
        let links = [server.house.take("owner.new@example.com").unwrap(), waits];
        server.house.is_mail_down.store(true, Ordering::Relaxed);
        let hint = format!("/api/auth/passwordHint?email={}", user.email);
        server.pass(("GET", &hint), home(), None, &Value::Null).await.is(200);
        snap();

        // The members again: what lasts minutes only.
        for name in [DORA, EMIL] {
            let (member, known) = (account(name), known.get_mut(name).unwrap());
            drop(server.step_up(name, &ActionName::new("vault.export"), SESSION).await);
            snap();
            let confirmations = server.keywright.confirmations();
            known.typed = confirmations
                .begin_code(&member, &DeleteVault(1), SessionId::new(SESSION))
                .await
                .unwrap()
                .expose()
                .to_owned();
            snap();
            let sent = confirmations.begin_mailed(&member, &DeleteVault(2), SessionId::new(SESSION)).await.unwrap();
            let SendOutcome::Send(code) = sent else { panic!("{sent:?}") };
            known.mailed = code.expose().to_owned();
            snap();
            let wrong =
                confirmations.confirm_code(&member, DeleteVault(1), SessionId::new(SESSION), "000-000").await.unwrap();
            assert!(!matches!(wrong, Confirmation::Granted(_)));
            snap();
            let vaults = server.keywright.vaults();
            let until = UnixSeconds::new(server.now() + 3_600).unwrap();
            let keywright::rekey::UploadStart::Begun { upload, .. } =
                vaults.begin_upload(&member, None, until).await.unwrap()
            else {
                panic!("no upload")
            };
            let part = submitted([0, 1, 3]);
            let _ = vaults.put_part(&member, upload, &submission(&part)).await.unwrap();
            known.upload = Some(upload);
            snap();
        }
        server.house.is_mail_down.store(false, Ordering::Relaxed);
        // The next code of every device.
        server.clock.advance(60);
        let rows = world.glass.rows();
        Self { world, server, user, login, links, session, known, idle, past, rows }
    }

    pub(super) fn put(&self, rows: &Rows) {
        self.world.glass.edit(|all| *all = rows.clone());
    }

    pub(super) fn librepass_account(&self) -> AccountId {
        AccountId::new(self.login.1.clone()).unwrap()
    }

    /// Whose account a use is of; the LibrePass user's goes by the name of its address.
    pub(super) fn account_of(&self, name: &str) -> AccountId {
        match name {
            WAITING => {
                let (_, user) = self.links[1].split_once("user=").unwrap();
                AccountId::new(&user[..36]).unwrap()
            }
            OWNER => self.librepass_account(),
            name => account(name),
        }
    }
}

//! A year of owners and strangers: every table keeps to its ceiling, and what has an expiry goes.
//!
//! Owners use everything twice a week, and leave behind what people leave behind: sessions, tokens, codes that nobody types,
//! uploads that nobody finishes. Once a week strangers try all that is open to strangers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use keywright::challenge::{Proof, Verification};
use keywright::core::{ActionName, Purpose, SessionId};
use keywright::store::{EVENTS_KEPT, MAX_CHANGES, MAX_DENIALS, Partition, SlotKind, StageId};
use keywright::twofactor::import::{ImportOutcome, ImportedUser};
use keywright::twofactor::{AttestedEnrolment, CHANGE_FACTORS, EnrolmentStart, VerifyOutcome};
use keywright::{Client, EventChain, UnixSeconds};
use keywright_store_conformance::glass::Rows;
use serde_json::{Value, json};

use crate::host::{ALICE, ROCKY, account};
use crate::world::{
    ALICE_AT_HOME, DAY, DORA, DeleteVault, Login, Person, SMS, START, Server, World, home, secret, submission,
    submitted,
};

/// Days of the year.
const YEAR: u64 = 365;
/// Every so many days strangers come.
const WEEK: u64 = 7;
/// How many strangers, each from a network of its own.
const STRANGERS: u8 = 4;

/// Nights after which nothing is left of what strangers began: it lasts a day, and its partition is spared for a day after
/// its last commit.
const GONE_AFTER: u64 = 3;
/// The owners' accounts: Alice's, Rocky's, Dora's, and that of the LibrePass user.
const OWNERS: usize = 4;
/// Bytes of a sealed record: no list in one grows with the days.
const LARGEST_RECORD: usize = 8 * 1024;
/// Bytes of a sealed root: that of the LibrePass user names all tokens that an account may have.
const LARGEST_ROOT: usize = 4 * 1024;

fn stranger(n: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, n, 9).into()
}

/// What has happened so far, as far as rows are counted by it.
#[derive(Default)]
struct Diary {
    /// Addresses and login names that were tried, and whose guesses are charged on decoys.
    unknown: BTreeSet<String>,
    /// Accounts that were verified and deleted.
    deleted: BTreeSet<String>,
    /// The LibrePass user's key and address change.
    changes: u64,
}

impl Diary {
    fn user(&self) -> Person {
        Person::new(&format!("owner-{}@example.com", self.changes % 2), 100 + self.changes)
    }
}

/// A day of the owners.
async fn owners(server: &Server, diary: &mut Diary, day: u64) {
    // Alice: two sessions that are never closed, one of them never opened; a keychain; a reset that is not confirmed.
    let session = server.open_session(Login::Phone, 1).await;
    let keychain = json!({"id": "CSEv1r1", "data": format!("keychain {day}")});
    server.passwords(Login::Phone, home(), Some(&session), ("keychain/set", Some(keychain))).await.is(200);
    server.passwords(ALICE_AT_HOME, home(), None, ("session/request", None)).await.is(200);
    let reset = ("account/reset", Some(json!({})));
    server.passwords(Login::Phone, home(), Some(&session), reset).await.is(202);
    match day % 60 {
        // A typo.
        8 => {
            let body = json!({"challenge": secret(9)});
            server.passwords(Login::Phone, home(), None, ("session/open", Some(body))).await.is(401);
        }
        28 => server.set_passphrase(1, Some(1)).await,
        // More sessions than an account may have.
        16 => {
            for _ in 0..20 {
                server.open_session(ALICE_AT_HOME, 1).await;
            }
        }
        _ => {}
    }

    // Rocky: new recovery codes; once a month new keys, which end all logins.
    let (code, body) = (server.totp(), json!({"code": server.totp()}));
    match day % 30 {
        24 => server.rocky(Some(&code), "users.resetE2EKey", json!({})).await.is(200),
        // A log-in by an identity provider that is left before its code, and a login code that nobody redeems.
        8 => {
            assert!(server.rocketchat.create_challenge(&account(ROCKY)).await.unwrap().is_some(), "day {day}");
            drop(server.rocketchat.create_login_code(&account(ROCKY)).await.unwrap());
            server.rocky(None, "users.regenerateTotpCodes", body).await.is(200)
        }
        _ => server.rocky(None, "users.regenerateTotpCodes", body).await.is(200),
    };

    // The LibrePass user: a login that is never ended, a cipher that is written; now and then a change of address,
    // with the vault held back, and every other of them is taken.
    let user = diary.user();
    let login = server.log_in(&user, home()).await;
    server.sync(&login, [u32::try_from(day % 3).unwrap()]).await;
    let collection = json!({"id": format!("5a5a5a5a-5a5a-4a5a-8a5a-{:012}", day % 8), "name": "family"});
    server.pass(("PUT", "/api/collection"), home(), Some(&login.0), &collection).await.is(200);
    if day % 180 == 20 {
        // More tokens than an account may have.
        for _ in 0..70 {
            server.log_in(&user, home()).await;
        }
    }
    if matches!(day % 60, 12 | 36) {
        let changes = diary.changes + 1;
        let new = Person::new(&format!("owner-{}@example.com", changes % 2), 100 + changes);
        server.ask_for_address(&login.0, &user, &new, 3).await;
        if day % 60 == 12 {
            server.open_link(&new.email).await.is(302);
            diary.changes = changes;
        }
    }

    // Dora: passphrase, codes that nobody types, a step-up in a session of its own, an enrolment that is not confirmed, a
    // cipher, and once a month an upload that is left.
    let (dora, client) = (account(DORA), server.client_of(DORA));
    let right = Proof::from_client(&secret(1)).unwrap();
    let verified = server.keywright.challenges().verify(&dora, &right, client).await.unwrap();
    assert!(matches!(verified, Verification::Granted(_)), "day {day}: {verified:?}");
    let confirmations = server.keywright.confirmations();
    for n in 0..3 {
        confirmations
            .begin_code(&dora, &DeleteVault(n), SessionId::new(format!("session {day}").as_bytes()))
            .await
            .unwrap();
        let _ = confirmations
            .begin_mailed(&dora, &DeleteVault(n), SessionId::new(format!("session {n}").as_bytes()))
            .await
            .unwrap();
    }
    if day == 0 {
        attest(server).await;
    }
    remember(server).await;
    let session = format!("session of day {day}");
    let change = server.step_up(DORA, &CHANGE_FACTORS, session.as_bytes()).await;
    let begun = server.two_factor.begin_with(change, "tablet", None).await.unwrap();
    assert!(matches!(begun, EnrolmentStart::Begun(_)), "day {day}: {begun:?}");
    // A challenge that nothing answers.
    let login = Purpose::new("login");
    drop(server.two_factor.challenge(&dora, SessionId::new(&session), &login, None).await.unwrap());
    // A code opens one thing; the next comes with the next time step.
    server.clock.advance(60);
    drop(server.step_up(DORA, &ActionName::new("vault.export"), session.as_bytes()).await);
    server.edit(DORA, &[(u32::try_from(day % 3).unwrap(), "note")], &[]).await;
    if day % WEEK == 3 {
        let vaults = server.keywright.vaults();
        let until = UnixSeconds::new(server.now() + 3_600).unwrap();
        let begun = vaults.begin_upload(&dora, None, until).await.unwrap();
        let keywright::rekey::UploadStart::Begun { upload, .. } = begun else { panic!("day {day}: {begun:?}") };
        let part = submitted(0..2);
        let _ = vaults.put_part(&dora, upload, &submission(&part)).await.unwrap();
        // A part that comes after the upload was given up, or of none.
        let _ = vaults.put_part(&dora, StageId([9; 16]), &submission(&part)).await.unwrap();
    }
}

/// Dora has one more browser remembered, and looks at whether it is recognized.
async fn remember(server: &Server) {
    let (dora, login) = (account(DORA), Purpose::new("login"));
    server.clock.advance(60);
    let verdict = server.two_factor.verify(&dora, &server.totp(), &login, server.client_of(DORA)).await.unwrap();
    let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
    let token = server.two_factor.trust(&proof, "browser").await.unwrap().expect("nothing has changed");
    assert!(server.two_factor.recognize(&dora, token.expose(), &login).await.unwrap().is_some());
    server.clock.advance(60);
}

/// Dora enrols a factor that the host checks itself.
async fn attest(server: &Server) {
    let (dora, session) = (account(DORA), SessionId::new("attested"));
    let change = server.step_up(DORA, &CHANGE_FACTORS, b"attested").await;
    let begun = server.two_factor.begin_attested(change, SMS, "number", None).await.unwrap();
    let EnrolmentStart::Begun(challenge) = begun else { panic!("{begun:?}") };
    let bytes = challenge.as_bytes();
    let done = server.two_factor.confirm_attested(&dora, session, bytes, b"+1", server.client_of(DORA)).await.unwrap();
    assert!(matches!(done, AttestedEnrolment::Active { .. }), "{done:?}");
    server.clock.advance(60);
}

/// A day of strangers: whatever is open to those who have nothing but a network.
async fn strangers(server: &Server, diary: &mut Diary, day: u64) {
    for n in 0..STRANGERS {
        let from = stranger(n);
        let name = format!("nobody-{}", (day / WEEK * u64::from(STRANGERS) + u64::from(n)) % 97);
        for (login, password) in [(ALICE, "guess"), (ALICE, "another guess"), (&*name, "guess")] {
            let login = Login::Password(login, password);
            let answer = server.passwords(login, from, None, ("session/request", None)).await;
            assert!(matches!(answer.status, 401 | 403 | 429), "{answer:?}");
        }
        diary.unknown.insert(name.clone());

        let owner = diary.user();
        let email = format!("{name}@example.com");
        diary.unknown.insert(email.clone());
        // Who asks for a fresh link to an address that has an owner is charged on a decoy too.
        diary.unknown.insert(owner.email.clone());
        let guess = Person::new(&owner.email, 7).shared(&server.server_key().await);
        for tried in [&owner.email, &owner.email, &email] {
            let body = json!({"email": tried, "sharedKey": guess});
            server.pass(("POST", "/api/auth/oauth?grantType=login"), from, None, &body).await.is(400);
            for path in ["passwordHint", "resendVerificationEmail", "preLogin"] {
                let path = format!("/api/auth/{path}?email={tried}");
                let answer = server.pass(("GET", &path), from, None, &Value::Null).await;
                assert!(matches!(answer.status, 200 | 429), "{path}: {answer:?}");
            }
        }
        let body = json!({"apiKey": format!("lp_{}", "ab".repeat(32)), "code": "123456"});
        server.pass(("POST", "/api/auth/oauth?grantType=2fa"), from, None, &body).await;
        let link =
            "/api/auth/verifyEmail?user=5a5a5a5a-5a5a-4a5a-8a5a-5a5a5a5a5a5a&code=5a5a5a5a-5a5a-4a5a-8a5a-5a5a5a5a5a5a";
        server.pass(("GET", link), from, None, &Value::Null).await;

        // Registrations: of an address that has an owner, of one that is everybody's, of one that is nobody's, and one
        // that is verified, used and deleted.
        server.register(&Person::new(&owner.email, 7), from).await.is(400);
        for email in ["everybody@example.com".into(), format!("nobody-{day}-{n}@example.com")] {
            server.register(&Person::new(&email, 8), from).await.is(201);
        }
        if n == 0 {
            let passing = Person::new(&format!("passing-{day}@example.com"), 9);
            server.register(&passing, from).await.is(201);
            server.open_link(&passing.email).await.is(302);
            let login = server.log_in(&passing, from).await;
            server.sync(&login, 0..2).await;
            let body = json!({"sharedKey": passing.shared(&server.server_key().await), "code": ""});
            server.pass(("DELETE", "/api/user/delete"), from, Some(&login.0), &body).await.is(200);
            diary.deleted.insert(login.1);
        }

        let body = json!({"emailOrUsername": if n == 0 { ROCKY } else { &*name }});
        server.chat("no token", from, None, "users.2fa.sendEmailCode", body).await.is(200);
        server.chat("no token", from, Some("123456"), "users.resetE2EKey", json!({})).await.is(401);

        let dora = account(DORA);
        for client in [Client::unknown(), server.network(&dora, from)] {
            let wrong = Proof::from_client(&secret(9)).unwrap();
            let _ = server.keywright.challenges().verify(&dora, &wrong, client).await.unwrap();
            let _ = server.two_factor.verify_totp(&dora, "123456", &Purpose::new("log-in"), client).await.unwrap();
            let _ = server
                .two_factor
                .verify_recovery(&dora, "000000-000000-000001", &Purpose::new("log-in"), client)
                .await
                .unwrap();
            let confirmations = server.keywright.confirmations();
            let session = format!("session {n}");
            let wrong = confirmations.confirm_mailed(
                &dora,
                DeleteVault(0),
                SessionId::new(session.as_bytes()),
                "000-000",
                client,
            );
            assert!(!matches!(wrong.await.unwrap(), keywright::confirm::Confirmation::Granted(_)));
        }
    }
}

/// What an operator's timer runs.
async fn upkeep(server: &Server) {
    let housekeeping = server.keywright.housekeeping();
    housekeeping.move_horizon().await.unwrap();
    while housekeeping.sweep(100).await.unwrap() >= 100 {}
    while housekeeping.forget_events(100).await.unwrap() >= 100 {}
    for owed in housekeeping.due(None, 1_000).await.unwrap().accounts {
        server.nextcloud.finish_due(&owed).await.unwrap();
        server.rocketchat.finish_due(&owed, false).await.unwrap();
        server.librepass.finish_due(&owed).await.unwrap();
    }
}

/// The kinds of slots by name, of every crate.
fn kinds() -> BTreeMap<String, SlotKind> {
    let parts = [
        keywright::store::SLOT_KINDS,
        keywright::challenge::SLOT_KINDS,
        keywright::confirm::SLOT_KINDS,
        keywright::librepass::SLOT_KINDS,
        keywright::nextcloud::SLOT_KINDS,
        keywright::rekey::SLOT_KINDS,
        keywright::rocketchat::SLOT_KINDS,
        keywright::twofactor::SLOT_KINDS,
    ];
    parts.concat().into_iter().map(|kind| (kind.name().to_string(), kind)).collect()
}

/// How many rows of each kind there are.
fn counted(rows: &Rows) -> BTreeMap<String, usize> {
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |what: String| *counted.entry(what).or_default() += 1;
    let place = |partition: &Partition| if partition.is_account() { "account" } else { "other" };
    rows.roots.keys().for_each(|partition| count(format!("{} root", place(partition))));
    rows.records.keys().for_each(|(partition, slot)| count(format!("{} {}", place(partition), slot.kind())));
    rows.events.keys().for_each(|(_, chain, _)| count(format!("{chain:?}")));
    rows.ciphers.keys().for_each(|_| count("cipher".into()));
    rows.stages.keys().for_each(|_| count("stage".into()));
    counted
}

/// One of the 65,536 partitions where guesses at what does not exist are charged: two bytes, and nothing else.
fn is_decoy(partition: &Partition) -> bool {
    !partition.is_account() && partition.key().ends_with(&"0".repeat(60))
}

/// What holds for each partition, whatever has happened.
fn each_partition_keeps_to_its_ceilings(rows: &Rows, kinds: &BTreeMap<String, SlotKind>, day: u64) {
    let mut of_kind: BTreeMap<(&Partition, String), usize> = BTreeMap::new();
    for ((partition, slot), row) in &rows.records {
        assert!(row.body.len() <= LARGEST_RECORD, "day {day}: {slot} of {partition:?} has {} bytes", row.body.len());
        *of_kind.entry((partition, slot.kind().to_string())).or_default() += 1;
    }
    for ((partition, kind), count) in of_kind {
        let most = kinds.get(&kind).map_or(1, |kind| kind.most());
        assert!(count <= usize::from(most), "day {day}: {count} {kind} of {partition:?}");
    }
    for (partition, root) in &rows.roots {
        let bytes = root.stored.body.len();
        assert!(bytes <= LARGEST_ROOT, "day {day}: the root of {partition:?} has {bytes} bytes");
    }
    let mut events: BTreeMap<(&Partition, EventChain), u64> = BTreeMap::new();
    for (partition, chain, _) in rows.events.keys() {
        assert!(partition.is_account(), "day {day}: {partition:?} has a log");
        *events.entry((partition, *chain)).or_default() += 1;
    }
    for ((partition, chain), count) in events {
        let most = if chain == EventChain::Denials { MAX_DENIALS } else { MAX_CHANGES };
        assert!(count <= most, "day {day}: {count} {chain:?} of {partition:?}");
    }
}

/// The ceilings that all counts must respect. `quiet` is how many nights ago unknown clients last
/// came.
fn all_of_it_keeps_to_its_ceilings(counted: &BTreeMap<String, usize>, rows: &Rows, diary: &Diary, quiet: u64) {
    let count = |what: &str| counted.get(what).copied().unwrap_or(0);
    // For each unknown client, one that waits for an address of its own, and one for an address
    // that all of them want.
    let strangers = if quiet < GONE_AFTER { 2 * usize::from(STRANGERS) } else { 0 };
    // Those addresses, that of the client that passes through, and at first the LibrePass user's
    // own.
    let waiting = if quiet < GONE_AFTER { usize::from(STRANGERS) + 3 } else { 0 };
    let decoys = rows.roots.keys().filter(|partition| is_decoy(partition)).count();
    let ceilings = [
        ("account root", OWNERS + diary.deleted.len() + strangers),
        ("account lp-credential", 1 + strangers),
        ("account names", 1 + strangers),
        ("account ledger", OWNERS + strangers),
        ("account vault", 2 + strangers),
        ("account due", OWNERS + strangers),
        ("cipher", 6),
        // A vault that is held back, and an upload that Dora left.
        ("stage", 2),
        // The LibrePass user's address and the one before it, and the client that passed through.
        ("other claim", 3),
        ("other lp-waiting", waiting),
        ("other ledger", diary.unknown.len()),
        ("account lp-collections", 1),
        // A login code is in a partition of its own until it expires.
        ("other rocketchat-login-code", 2),
        ("other root", 1 + decoys + 3 + waiting + 2),
        ("other key ids", 1),
        ("other lp-server-key", 1),
    ];
    for (what, most) in ceilings {
        assert!(count(what) <= most, "{} of {what}, at most {most}: {counted:#?}", count(what));
    }
    assert!(decoys <= diary.unknown.len().min(65_536), "{decoys} decoys");
}

#[tokio::test]
async fn every_table_keeps_to_its_ceiling_for_a_year() {
    let (world, kinds) = (World::new(), kinds());
    let mut diary = Diary::default();
    let first = world.server().await;
    first.settle(&diary.user()).await;
    // Alice comes from another system.
    let moved = first.two_factor.import_user(&account(ALICE), &ImportedUser::new()).await.unwrap();
    assert!(matches!(moved, ImportOutcome::Imported(_)));
    let mut seen = BTreeSet::new();
    for day in 0..YEAR {
        world.clock.set(UnixSeconds::new(START + (day + 1) * DAY).unwrap());
        let server = world.server().await;
        upkeep(&server).await;
        if day % 4 == 0 {
            owners(&server, &mut diary, day).await;
        }
        if day % WEEK == 0 {
            strangers(&server, &mut diary, day).await;
        }
        // When there is most, and when there is least.
        if matches!(day % WEEK, 0 | GONE_AFTER) || matches!(day % 60, 8 | 12 | 16 | 20) {
            let rows = world.glass.rows();
            let counted = counted(&rows);
            each_partition_keeps_to_its_ceilings(&rows, &kinds, day);
            all_of_it_keeps_to_its_ceilings(&counted, &rows, &diary, day % WEEK);
            seen.extend(counted.into_keys());
        }
    }
    assert_eq!(world.heard.damages(), 0);
    // Nothing was left out: every kind of slot has had rows, but for what is noted of damage, and for
    // the credit that is kept when the mail of an act on another account fails.
    let is_unseen = |kind: &&String| !seen.iter().any(|what| what.ends_with(&format!(" {kind}")));
    assert_eq!(kinds.keys().filter(is_unseen).collect::<Vec<_>>(), ["rocketchat-credit", "vault-damage-told"]);

    // Then nobody comes any more, and only what owners would miss is left when the log of the last day is forgotten.
    for night in 1..=EVENTS_KEPT / DAY + GONE_AFTER {
        world.clock.set(UnixSeconds::new(START + (YEAR + night) * DAY).unwrap());
        upkeep(&world.server().await).await;
    }
    let left = counted(&world.glass.rows());
    let count = |what: &str| left.get(what).copied().unwrap_or(0);
    assert_eq!(count("account root"), OWNERS, "{left:#?}");
    // The newest event of a chain is never forgotten.
    assert!(count("Changes") <= OWNERS && count("Denials") <= OWNERS, "{left:#?}");
    for kind in kinds.values().filter(|kind| kind.is_expiring()) {
        assert_eq!(count(&format!("account {}", kind.name())), 0, "{left:#?}");
    }
    for gone in ["stage", "other lp-waiting"] {
        assert_eq!(count(gone), 0, "{left:#?}");
    }
    assert_eq!((count("other claim"), count("cipher")), (1, 6), "{left:#?}");
}

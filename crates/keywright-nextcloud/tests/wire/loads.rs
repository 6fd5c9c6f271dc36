//! The loads that requests make: every act names all its slots in one load.

use std::sync::Arc;

use keywright_nextcloud::{GuessedSecret, MailAdmits, NextcloudPolicy, ResetStyle};
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;
use serde_json::json;

use crate::support::{PASSWORD, World, alice, secret};
use crate::ways_in::shut_out;

const HOSTILE: &str = "203.0.113.9";

/// An act that finds that it needs a slot which it has not named is loaded again, and that is to be seen.
#[tokio::test]
async fn every_act_names_its_slots_at_once() {
    for reset in [ResetStyle::Code, ResetStyle::Wait] {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let policy = NextcloudPolicy::builder().reset(reset).build().unwrap();
        let world = World::on(store.clone(), policy).await;
        let once = |act: &str| {
            let extra = store.extra_rounds();
            assert!(extra.is_empty(), "{act}: {extra:?}");
            assert!(!store.noted_loads().is_empty(), "{act}");
            store.note_loads();
        };
        store.note_loads();
        let mut phone = world.with_challenge().await;
        once("the first challenge");
        for path in ["session/request", "session/keepalive", "account/challenge/get", "keychain/get"] {
            phone.get(path).await;
            once(path);
        }
        phone.put_keychain("a keychain").await;
        once("a keychain");
        assert_eq!(phone.set(&secret(2), Some(&secret(1))).await.status, 200);
        once("another challenge");
        assert_eq!(phone.set(&secret(3), Some(&secret(9))).await.status, 401);
        once("a change with a wrong secret");
        // More sessions than there may be.
        for n in 0..16 {
            assert_eq!(world.token(&format!("t{n}")).open(&secret(2)).await.status, 200);
            once("a session");
        }
        for _ in 0..2 {
            assert_eq!(world.token("laptop").open(&secret(2)).await.status, 200);
            once("one session more than there may be");
        }
        // Until guesses at both secrets wait, are shut, and mails are due.
        shut_out(&world, async || {
            let answer = world.password().at(HOSTILE).open(&secret(9)).await;
            once("a guess at the challenge");
            answer
        })
        .await;
        shut_out(&world, async || {
            let answer = world.client("alice", "wrong").at(HOSTILE).get("session/request").await;
            once("a guess at the login password");
            answer
        })
        .await;
        world.app.finish_due(&alice()).await.unwrap();
        once("mails");
        let mail = world.host.mails().pop().unwrap();
        world.app.admit_by_mail(mail.token.expose(), MailAdmits::Refused).await.unwrap();
        once("a click in a mail");
        world.app.unlock(&alice(), GuessedSecret::LoginPassword).await.unwrap();
        once("the operator's unlock");
        let mut owner = world.token("laptop");
        assert_eq!(owner.open(&secret(2)).await.status, 200);
        store.note_loads();
        match reset {
            ResetStyle::Wait => {
                owner.reset_by_password(PASSWORD).await;
                once("a wait");
                owner.reset_by_password("wrong").await;
                once("a wait with a wrong password");
            }
            _ => {
                let code = owner.reset_code().await;
                once("a code of a reset");
                owner.reset_with("AAAA-AAAA-AAAA-AAAA").await;
                once("a wrong one");
                owner.reset_with(&code).await.is(200, json!({"status": "ok"}));
                once("a reset");
            }
        }
        owner.get("session/close").await;
        once("an end");
    }
}

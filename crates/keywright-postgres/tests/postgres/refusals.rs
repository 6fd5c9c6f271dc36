//! What is refused when a store is opened, and what is denied because a newer version wrote it: typed errors that name
//! what and where, and no secret.

#![expect(clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test")]

use std::sync::Arc;

use keywright_core::{AccountId, Keyring, SealContext, SystemEntropy};
use keywright_postgres::{FaultKind, OpenError, PostgresStore};
use keywright_store::{Batch, Damage, Draft, Driver, RecordStore, Revision, StepError, TransactError, Write};
use keywright_testing::postgres::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{account, open_fault, root};

#[tokio::test]
async fn a_wrong_password_or_role_is_refused_and_not_repeated() {
    let cluster = Cluster::new();
    cluster.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'right-password'");
    cluster.sql("postgres", "CREATE DATABASE accounts OWNER app");
    cluster
        .write("pg_hba.conf", "host accounts app 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    let url = |role: &str, password: &str, database: &str| {
        let address = format!("127.0.0.1:{}/{database}?sslmode=disable", cluster.port());
        format!("postgres://{role}:{password}@{address}")
    };
    // The server reads its file again a moment after it was told to.
    let refused = loop {
        if let Err(refused) = PostgresStore::open(&url("app", "wrong-password", "accounts")).await {
            break refused;
        }
    };
    let said = format!("{refused} {refused:?}");
    assert!(said.contains("the database server refuses the role") && said.contains("28P01"), "{said}");
    assert!(!said.contains("wrong-password"), "{said}");
    assert_eq!(open_fault(Err(refused)), FaultKind::Refused);
    for (role, database) in [("nobody", "accounts"), ("app", "postgres"), ("postgres", "nowhere")] {
        let refused = PostgresStore::open(&url(role, "right-password", database)).await;
        assert_eq!(open_fault(refused), FaultKind::Refused, "{role} at {database}");
    }
    PostgresStore::open(&url("app", "right-password", "accounts")).await.unwrap();
}

/// One message of the protocol.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind][..], &length, body].concat()
}

/// Answers the first question of a store as a server of this version does.
async fn answer_as(mut client: TcpStream, version: &str) -> std::io::Result<()> {
    let length = client.read_u32().await?;
    let mut startup = vec![0; usize::try_from(length).unwrap() - 4];
    client.read_exact(&mut startup).await?;
    let welcome = [message(b'R', &[0; 4]), message(b'K', &[0; 8]), message(b'Z', b"I")].concat();
    client.write_all(&welcome).await?;
    loop {
        let kind = client.read_u8().await?;
        let mut question = vec![0; usize::try_from(client.read_u32().await?).unwrap() - 4];
        client.read_exact(&mut question).await?;
        if kind == b'X' {
            return Ok(());
        }
        let mut columns = 4_u16.to_be_bytes().to_vec();
        let mut values = columns.clone();
        for (name, oid, value) in
            [("version", 20_u32, version), ("fsync", 25, "on"), ("standby", 16, "f"), ("bytea_output", 25, "hex")]
        {
            columns.extend([name.as_bytes(), &[0; 7], &oid.to_be_bytes(), &[0; 8]].concat());
            values.extend([&u32::try_from(value.len()).unwrap().to_be_bytes(), value.as_bytes()].concat());
        }
        let rows = [message(b'T', &columns), message(b'D', &values), message(b'C', b"SELECT 1\0")].concat();
        client.write_all(&[rows, message(b'Z', b"I")].concat()).await?;
    }
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_by_its_version() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://app@127.0.0.1:{}/accounts?sslmode=disable", listener.local_addr().unwrap().port());
    for (version, number) in [("140012", 140_012), ("90624", 90_624)] {
        let (opened, answered) = tokio::join!(PostgresStore::open(&url), async {
            let (client, _) = listener.accept().await?;
            answer_as(client, version).await
        });
        let refused = opened.unwrap_err();
        assert!(matches!(refused, OpenError::Server { found, known: 150_000 } if found == number), "{refused:?}");
        let said = format!("the database server has version {version}; at least 150000 is needed");
        assert_eq!(refused.to_string(), said);
        // It asked nothing more, whatever way the connection ended.
        drop(answered);
    }
}

#[tokio::test]
async fn a_root_of_a_newer_version_denies_its_account_alone() {
    let cluster = Cluster::new();
    let store = Arc::new(PostgresStore::open(&cluster.url("postgres")).await.unwrap());
    let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
    let driver = Driver::builder(store.clone(), keyring.clone()).build().unwrap();
    let ids = ["alice", "bob"].map(|name| AccountId::new(name).unwrap());
    for id in &ids {
        driver.ensure_account(id).await.unwrap();
    }
    let alice = account("alice");
    let next = Revision::draw().unwrap();
    let context = SealContext::new(b"alice", "root", next.to_bytes());
    let sealed = keyring.seal(&SystemEntropy, &context, 9, b"a form of the future").unwrap();
    let before = root(&store, &alice).await;
    store.commit(Batch::new(alice.clone(), before, Write::root(next, sealed.into())).unwrap()).await.unwrap();

    let look = |draft: &mut Draft<'_>| Ok(draft.root()?.epochs());
    let denied = driver.transact(&alice, &[], look).await.unwrap_err();
    assert!(matches!(denied, TransactError::Step(StepError::Damaged(Damage::NewerRoot))), "{denied:?}");
    assert!(denied.is_damage());
    assert_eq!(denied.to_string(), "a newer version wrote the root record");
    assert_eq!(root(&store, &alice).await, Some(next), "it is left as it is");
    driver.transact(&account("bob"), &[], look).await.unwrap();
}

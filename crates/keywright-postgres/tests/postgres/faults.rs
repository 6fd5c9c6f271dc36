//! Servers that are away, slow, full or read-only, and rows that somebody has edited: typed errors, and nothing is lost.

use std::future::{pending, poll_fn, ready};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use keywright_core::{EventChain, UnixSeconds};
use keywright_postgres::sqlx::{self, Connection, PgConnection};
use keywright_postgres::{FaultKind, PostgresStore};
use keywright_store::{
    Batch, CipherId, ClientNonce, CommitError, LoadError, Mark, RecordStore, Revision, Row, RowMarks, Shortage,
    StageId, StoredEvent, Upkeep, VaultStore, VaultWrite, Which, Write,
};
use keywright_testing::postgres::Cluster;
use tokio::net::TcpListener;

use crate::world::{Outcome, account, batch, commit, load_fault, open_fault, outcome, root};

#[tokio::test]
async fn a_server_that_is_away_or_mute_is_reported_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://app@127.0.0.1:{port}/accounts?sslmode=disable");
    let builder = PostgresStore::builder(&url).unwrap().wait(Duration::from_millis(300));
    // It accepts, and never says a word.
    assert_eq!(open_fault(builder.clone().open().await), FaultKind::TimedOut);
    drop(listener);
    assert_eq!(open_fault(builder.open().await), FaultKind::Unreachable);
    assert!(PostgresStore::builder("mysql://here").is_err());
}

#[tokio::test]
async fn a_server_that_ends_and_comes_back_loses_nothing() {
    let cluster = Cluster::new();
    let builder = PostgresStore::builder(&cluster.url("postgres")).unwrap();
    let store = builder.wait(Duration::from_millis(500)).connections(2).open().await.unwrap();
    let alice = account("alice");
    commit(&store, &alice).await.unwrap();
    let before = root(&store, &alice).await;
    cluster.kill();
    // The first finds its connection cut, and cannot know what became of it; the next has none.
    assert_eq!(outcome(store.commit(batch(&alice, before)).await), Outcome::Unknown(FaultKind::Unreachable));
    assert_eq!(outcome(store.commit(batch(&alice, before)).await), Outcome::Rejected(FaultKind::Unreachable));
    assert_eq!(load_fault(store.load(&alice, &[]).await).0, FaultKind::Unreachable);
    let check = store.commit(Batch::check(alice.clone(), before)).await;
    assert_eq!(outcome(check), Outcome::Rejected(FaultKind::Unreachable));
    cluster.start();
    assert_eq!(root(&store, &alice).await, before);
    commit(&store, &alice).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_a_slow_server_and_a_lock_are_told_apart() {
    let cluster = Cluster::new();
    let builder = PostgresStore::builder(&cluster.url("postgres")).unwrap();
    let builder = builder.wait(Duration::from_millis(200)).commit_limit(Duration::from_secs(1));
    let store = Arc::new(builder.connections(1).open().await.unwrap());
    let alice = account("alice");
    commit(&store, &alice).await.unwrap();
    let before = root(&store, &alice).await;

    // Somebody holds the row, so a commit waits for it on the only connection.
    let mut holder = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT FROM keywright.roots FOR UPDATE").execute(&mut holder).await.unwrap();
    let waiting = tokio::spawn({
        let (store, batch) = (Arc::clone(&store), batch(&alice, before));
        async move { store.commit(batch).await }
    });
    while cluster.sql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {}
    let refused = store.commit(batch(&alice, before)).await;
    assert_eq!(shortage_of(&refused), Some(Shortage::Busy));
    assert_eq!(outcome(refused), Outcome::Rejected(FaultKind::PoolFull));
    assert!(matches!(store.load(&alice, &[]).await, Err(LoadError::TimedOut)));
    // The server ends it, and it has certainly written nothing.
    assert_eq!(outcome(waiting.await.unwrap()), Outcome::Rejected(FaultKind::TimedOut));
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_eq!(root(&store, &alice).await, before);

    // A standby that never comes: the commit is done here, and nobody may be told so.
    cluster.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    while cluster.sql("postgres", "SHOW synchronous_standby_names").is_empty() {}
    assert_eq!(outcome(store.commit(batch(&alice, before)).await), Outcome::Unknown(FaultKind::TimedOut));
}

/// The caller's limit ends before the pool's: without a connection nothing was sent, and that is the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_given_up_before_it_had_a_connection_is_known_not_to_happen() {
    let cluster = Cluster::new();
    let store = PostgresStore::builder(&cluster.url("postgres")).unwrap().connections(1).open().await.unwrap();
    let store = Arc::new(store);
    let alice = account("alice");
    commit(&store, &alice).await.unwrap();
    let before = root(&store, &alice).await;
    let mut holder = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT FROM keywright.roots FOR UPDATE").execute(&mut holder).await.unwrap();
    let (first, mut second) = (batch(&alice, before), batch(&alice, before));
    let landed = first.write().map(|write| write.revision);
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(first).await }
    });
    while cluster.sql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {}
    for round in 0..3 {
        let refused = store.commit_until(second, Box::pin(ready(()))).await;
        assert_eq!(shortage_of(&refused), Some(Shortage::Busy), "{round}");
        assert_eq!(outcome(refused), Outcome::Rejected(FaultKind::PoolFull), "{round}");
        // A check is refused in the same way.
        second = if round == 0 { Batch::check(alice.clone(), before) } else { batch(&alice, before) };
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_eq!(outcome(waiting.await.unwrap()), Outcome::Done);
    assert_eq!(root(&store, &alice).await, landed);

    // Once it has one, it may have been sent.
    sqlx::raw_sql("BEGIN; SELECT FROM keywright.roots FOR UPDATE").execute(&mut holder).await.unwrap();
    let waits = poll_fn(|context| {
        context.waker().wake_by_ref();
        match &*cluster.sql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") {
            "0" => Poll::Pending,
            _ => Poll::Ready(()),
        }
    });
    let lost = store.commit_until(batch(&alice, landed), Box::pin(waits)).await;
    assert_eq!(outcome(lost), Outcome::Unknown(FaultKind::TimedOut));
    let check = store.commit_until(Batch::check(alice.clone(), landed), Box::pin(ready(()))).await;
    assert!(matches!(check, Err(CommitError::Rejected(_))), "{check:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    // With time enough, it is a commit like any other.
    let fresh = account("fresh");
    store.commit_until(batch(&fresh, None), Box::pin(pending())).await.unwrap();
    let again = store.commit_until(batch(&fresh, None), Box::pin(pending())).await;
    assert_eq!(outcome(again), Outcome::Conflict);
}

/// A connection's socket and timer stand still with the runtime on which it was made.
#[test]
fn a_connection_made_on_another_runtime_is_not_used() {
    let cluster = Cluster::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let alice = account("alice");
    let first = runtime();
    let store = first.block_on(async {
        let store = PostgresStore::open(&cluster.url("postgres")).await.unwrap();
        commit(&store, &alice).await.unwrap();
        store
    });
    // Once while the other one only stands still, and once after its end.
    runtime().block_on(commit(&store, &alice)).unwrap();
    drop(first);
    runtime().block_on(commit(&store, &alice)).unwrap();
}

/// What a protocol answers with 503 or 507 instead of an error of the server.
fn shortage_of(result: &Result<(), CommitError>) -> Option<Shortage> {
    let Err(CommitError::Rejected(source)) = result else { return None };
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&**source);
    while let Some(error) = next {
        if let Some(shortage) = error.downcast_ref::<Shortage>() {
            return Some(*shortage);
        }
        next = error.source();
    }
    None
}

/// A trigger reports each of the errors of a server in turn.
#[tokio::test]
async fn every_error_has_its_outcome() {
    let cluster = Cluster::new();
    let store = PostgresStore::open(&cluster.url("postgres")).await.unwrap();
    let alice = account("alice");
    commit(&store, &alice).await.unwrap();
    let before = root(&store, &alice).await;
    cluster.sql(
        "postgres",
        "CREATE TABLE public.error (code text); GRANT SELECT ON public.error TO PUBLIC;
         CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE v text; BEGIN
             SELECT code INTO v FROM public.error;
             IF v IS NOT NULL THEN RAISE EXCEPTION 'as asked' USING ERRCODE = v; END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER fail AFTER UPDATE ON keywright.roots FOR EACH ROW EXECUTE FUNCTION public.fail()",
    );
    let rejected = Outcome::Rejected;
    for (code, right) in [
        ("40001", Outcome::Conflict),
        ("40P01", rejected(FaultKind::Locked)),
        ("55P03", rejected(FaultKind::Locked)),
        ("57014", rejected(FaultKind::TimedOut)),
        ("25006", rejected(FaultKind::ReadOnly)),
        ("53100", rejected(FaultKind::Full)),
        ("53200", rejected(FaultKind::Full)),
        ("42501", rejected(FaultKind::NotPermitted)),
        ("42P01", rejected(FaultKind::AlteredSchema)),
        ("21000", rejected(FaultKind::Other)),
        ("22P05", rejected(FaultKind::Other)),
        ("22023", rejected(FaultKind::Other)),
        ("XX000", rejected(FaultKind::Other)),
        ("08006", Outcome::Unknown(FaultKind::Unreachable)),
        ("57P01", Outcome::Unknown(FaultKind::Unreachable)),
    ] {
        cluster.sql("postgres", &format!("TRUNCATE public.error; INSERT INTO public.error VALUES ('{code}')"));
        let refused = store.commit(batch(&alice, before)).await;
        let shortage = match code {
            "40P01" | "55P03" | "57014" => Some(Shortage::Busy),
            "53100" | "53200" => Some(Shortage::Room),
            _ => None,
        };
        assert_eq!((shortage_of(&refused), outcome(refused)), (shortage, right), "{code}");
        assert_eq!(root(&store, &alice).await, before, "{code}");
    }
    cluster.sql("postgres", "DROP TRIGGER fail ON keywright.roots");
    commit(&store, &alice).await.unwrap();

    cluster.sql("postgres", "ALTER DATABASE postgres SET default_transaction_read_only = on");
    let reading = PostgresStore::open(&cluster.url("postgres")).await.unwrap();
    let now = root(&reading, &alice).await;
    assert_eq!(outcome(reading.commit(batch(&alice, now)).await), Outcome::Rejected(FaultKind::ReadOnly));
    assert_eq!(outcome(reading.commit(Batch::check(alice.clone(), now)).await), Outcome::Done);
}

fn cipher(id: u8) -> Row {
    let marks =
        RowMarks { id: CipherId([id; 16]), text: Mark([1; 16]), note: Mark([2; 16]), nonce: ClientNonce([3; 16]) };
    Row { marks, text: "text".into(), note: "note".into() }
}

#[tokio::test]
async fn a_row_edited_by_hand_is_named_and_denies_its_account_alone() {
    let cluster = Cluster::new();
    let store = PostgresStore::open(&cluster.url("postgres")).await.unwrap();
    let (alice, bob) = (account("alice"), account("bob"));
    for partition in [&alice, &bob] {
        let event = StoredEvent {
            chain: EventChain::Changes,
            number: 1,
            at: UnixSeconds::EPOCH,
            json: "{}".into(),
            prev: [0; 32],
        };
        let write = Write {
            events: vec![event],
            vault: Some(VaultWrite::Edit { put: vec![cipher(1)], delete: Vec::new() }),
            due_at: Some(UnixSeconds::EPOCH),
            ..Write::root(Revision::draw().unwrap(), "root".into())
        };
        store.commit(Batch::new(partition.clone(), None, write).unwrap()).await.unwrap();
    }
    let stage = StageId([9; 16]);
    store.stage(&alice, stage, vec![cipher(1), cipher(2)], UnixSeconds::MAX).await.unwrap();
    // The tables refuse most of it, whoever writes.
    for edit in ["roots SET revision = 'short'", "ciphers SET id = ''", "events SET at = -1", "roots SET due_at = -1"] {
        let refused = cluster.try_sql("postgres", &format!("UPDATE keywright.{edit}")).unwrap_err();
        assert!(refused.contains("violates check constraint"), "{refused}");
    }
    let alone = |what: &str| {
        cluster.sql(
            "postgres",
            &format!(
                "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conname, conrelid::regclass AS t FROM pg_constraint
                     WHERE contype = 'c' AND connamespace = 'keywright'::regnamespace
                 LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$;
                 UPDATE keywright.{what} WHERE partition = 'a/alice'"
            ),
        );
    };
    let number = store
        .commit(
            Batch::new(bob.clone(), root(&store, &bob).await, {
                let again = StoredEvent {
                    chain: EventChain::Changes,
                    number: 1,
                    at: UnixSeconds::EPOCH,
                    json: "{}".into(),
                    prev: [0; 32],
                };
                Write { events: vec![again], ..Write::root(Revision::draw().unwrap(), "root".into()) }
            })
            .unwrap(),
        )
        .await;
    assert_eq!(outcome(number), Outcome::Rejected(FaultKind::EventNumberTaken));

    alone("ciphers SET text_mark = 'short'");
    let corrupt = |(kind, text): (FaultKind, String), table: &str| {
        assert_eq!(kind, FaultKind::UnknownForm);
        assert_eq!(text, format!("the database holds a row of an unknown form (keywright.{table}, a/alice)"));
    };
    // Of a vault, only the row itself is lost, and its id is known.
    let listed = store.manifest(&alice).await.unwrap().rows;
    assert!(!listed.is_empty() && listed.iter().all(|marks| marks.text == Mark::UNREADABLE), "{listed:?}");
    assert!(listed.iter().all(|marks| marks.note == Mark::UNREADABLE && marks.nonce == ClientNonce([0; 16])));
    let rows = store.read(&alice, Which::All).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.marks).collect::<Vec<_>>(), listed);
    let some = store.read(&alice, Which::Ids { ids: &[listed[0].id], with_marks: false }).await.unwrap().rows;
    assert_eq!(some[0].marks, listed[0]);
    // Of a stage, only the row itself is lost.
    alone("staged SET text_mark = CASE WHEN id = decode(repeat('01', 16), 'hex') THEN 'short' ELSE text_mark END");
    let marks = [(CipherId([1; 16]), Mark::UNREADABLE), (CipherId([2; 16]), Mark([1; 16]))];
    assert_eq!(store.staged(&alice, stage).await.unwrap(), marks);
    let texts = store.staged_texts(&alice, stage, None, 9).await.unwrap();
    assert_eq!(
        texts.iter().map(|row| (row.mark, &row.text[..])).collect::<Vec<_>>(),
        [(Mark::UNREADABLE, &b""[..]), (Mark([1; 16]), b"text")]
    );
    alone("events SET prev = 'short'");
    corrupt(load_fault(store.events(&alice, EventChain::Changes, None, 9).await), "events");
    alone("roots SET revision = 'short'");
    corrupt(load_fault(store.load(&alice, &[]).await), "roots");
    assert!(matches!(store.commit(Batch::check(alice.clone(), None)).await, Err(CommitError::Rejected(_))));
    assert_eq!(outcome(store.commit(batch(&alice, None)).await), Outcome::Conflict);
    // The others go on, and so do the lists, past keys that are none.
    cluster.sql(
        "postgres",
        "INSERT INTO keywright.roots VALUES ('x/stray', 'short', '', 0, 0), ('a/\\377'::bytea, '', '', NULL, 0)",
    );
    assert_eq!(store.manifest(&bob).await.unwrap().rows.len(), 1);
    assert_eq!(store.due(UnixSeconds::MAX, 2).await.unwrap(), [alice.clone(), bob.clone()]);
    assert_eq!(store.partitions(None, 10).await.unwrap(), [alice, bob]);
}

//! The role that owns the tables and the role that serves requests; settings of a role that would do harm.

use keywright_postgres::sqlx::{Connection, PgConnection};
use keywright_postgres::{FaultKind, OpenError, PostgresStore, PostgresTransaction};
use keywright_store::{AsyncHostTransaction, RecordStore, Upkeep, VaultStore};
use keywright_testing::postgres::Cluster;

use crate::world::{Outcome, account, batch, commit, open_fault, outcome, root};

#[tokio::test]
async fn the_role_that_serves_only_reads_and_calls() {
    let cluster = Cluster::new();
    cluster.sql("postgres", "CREATE ROLE owner LOGIN; CREATE ROLE app LOGIN; CREATE ROLE other LOGIN");
    cluster.sql("postgres", "CREATE DATABASE accounts OWNER owner");
    let url = |role| cluster.url_of(role, "accounts");

    // It may not create anything, and leaves nothing behind.
    assert_eq!(open_fault(PostgresStore::open(&url("app")).await), FaultKind::NotPermitted);
    let older = PostgresStore::builder(&url("app")).unwrap().migrate(false).open().await;
    assert!(matches!(older, Err(OpenError::Older { found: 0, known: 1 })), "{older:?}");
    PostgresStore::builder(&url("owner")).unwrap().serve("app").open().await.unwrap();

    let store = PostgresStore::open(&url("app")).await.unwrap();
    let alice = account("alice");
    commit(&store, &alice).await.unwrap();
    commit(&store, &alice).await.unwrap();
    store.manifest(&alice).await.unwrap();
    store.move_horizon(keywright_core::UnixSeconds::EPOCH.plus(5)).await.unwrap();
    assert_eq!(store.sweep(10).await.unwrap(), 0);

    let tables = "roots records ciphers stages staged events meta";
    for table in tables.split(' ') {
        for statement in [
            format!("DELETE FROM keywright.{table}"),
            format!("TRUNCATE keywright.{table}"),
            format!("INSERT INTO keywright.{table} DEFAULT VALUES"),
            format!("ALTER TABLE keywright.{table} ADD x int"),
        ] {
            let tried = cluster.try_sql("accounts", &format!("SET SESSION AUTHORIZATION app; {statement}"));
            let refused = tried.unwrap_err();
            assert!(
                refused.contains("permission denied") || refused.contains("must be owner"),
                "{statement}: {refused}"
            );
        }
    }
    // Nobody else may call a function or read a table.
    let other = PostgresStore::open(&url("other")).await;
    assert_eq!(open_fault(other), FaultKind::NotPermitted);
    let called = cluster.try_sql("accounts", "SET SESSION AUTHORIZATION other; SELECT keywright.unstage('', '')");
    assert!(called.unwrap_err().contains("permission denied"));
    let definers = cluster.sql(
        "accounts",
        "SELECT count(*), count(*) FILTER (WHERE prosecdef AND proconfig[1] = 'search_path=pg_catalog, pg_temp'),
             count(*) FILTER (WHERE has_function_privilege('other', oid, 'EXECUTE'))
         FROM pg_proc WHERE pronamespace = 'keywright'::regnamespace",
    );
    assert_eq!(definers, "7|7|0");
}

/// Operators and functions of another schema stand in front of PostgreSQL's own. With them, every account would look
/// like every other one.
#[tokio::test]
async fn no_search_path_leads_elsewhere() {
    let cluster = Cluster::new();
    cluster.sql("postgres", "CREATE ROLE app LOGIN");
    cluster.sql("postgres", "CREATE DATABASE accounts");
    PostgresStore::builder(&cluster.url("accounts")).unwrap().serve("app").open().await.unwrap();
    let mut hostile = "CREATE SCHEMA hostile; GRANT USAGE ON SCHEMA hostile TO PUBLIC;
         CREATE FUNCTION hostile.yes(bytea, bytea) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION hostile.yes(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION hostile.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION hostile.decode(text, text) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$;
         CREATE DOMAIN hostile.bytea AS text; CREATE DOMAIN hostile.int8 AS text;"
        .to_owned();
    for operator in ["=", "<>", "<", ">", "<=", ">="] {
        for kind in ["pg_catalog.bytea", "bigint"] {
            hostile.push_str(&format!(
                "CREATE OPERATOR hostile.{operator} (FUNCTION = hostile.yes, LEFTARG = {kind}, RIGHTARG = {kind});"
            ));
        }
    }
    cluster.sql("accounts", &hostile);
    cluster.sql("accounts", "ALTER ROLE app SET search_path = hostile, pg_catalog, keywright");
    for pooled in [false, true] {
        let builder = PostgresStore::builder(&cluster.url_of("app", "accounts")).unwrap();
        let store = if pooled { builder.behind_pooler() } else { builder }.open().await.unwrap();
        let (alice, bob) = (account(&format!("alice-{pooled}")), account(&format!("bob-{pooled}")));
        commit(&store, &alice).await.unwrap();
        let alices = root(&store, &alice).await;
        assert!(alices.is_some() && root(&store, &bob).await.is_none());
        assert_eq!(outcome(store.commit(batch(&bob, alices)).await), Outcome::Conflict);
        commit(&store, &bob).await.unwrap();
        commit(&store, &bob).await.unwrap();
        assert_eq!(root(&store, &alice).await, alices, "a commit of another account moved it");
        assert!(store.partitions(None, 100).await.unwrap().contains(&bob));
        assert_eq!(store.slots(&alice, None, 10).await.unwrap().root, alices);
    }
}

#[tokio::test]
async fn a_role_without_synchronous_commits_commits_synchronously() {
    let cluster = Cluster::new();
    let store = PostgresStore::open(&cluster.url("postgres")).await.unwrap();
    cluster.sql("postgres", "ALTER ROLE postgres SET synchronous_commit = off");
    let mut host = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let mut transaction = PostgresTransaction::begin(&store, &mut host).await.unwrap();
    let shown = async |connection: &mut PgConnection| {
        let row = keywright_postgres::sqlx::raw_sql("SHOW synchronous_commit").fetch_one(connection).await.unwrap();
        keywright_postgres::sqlx::Row::get::<String, _>(&row, 0)
    };
    assert_eq!(shown(&mut transaction).await, "off");
    transaction.apply(batch(&account("alice"), None)).await.unwrap();
    assert_eq!(shown(&mut transaction).await, "on", "until the host's own COMMIT");
    transaction.commit().await.unwrap();
    assert_eq!(shown(&mut host).await, "off");
}

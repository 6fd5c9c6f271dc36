//! Migrations: once, by one process, never backwards; and a cluster of several nodes, by what it is asked for.

use keywright_postgres::{OpenError, PostgresStore};
use keywright_testing::postgres::Cluster;

use crate::world::{account, commit};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_processes_one_migrates() {
    let cluster = Cluster::new();
    cluster.sql("postgres", "CREATE DATABASE accounts");
    let url = cluster.url("accounts");
    let opening: Vec<_> = (0..6)
        .map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = PostgresStore::open(&url).await.unwrap();
                commit(&store, &account(&format!("user-{number}"))).await.unwrap();
            })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap();
    }
    assert_eq!(cluster.sql("accounts", "SELECT count(*) FROM keywright.roots"), "6");
    assert_eq!(cluster.sql("accounts", "SELECT value FROM keywright.meta WHERE name = 'schema'"), "1");
}

#[tokio::test]
async fn what_is_newer_or_foreign_is_refused_and_left_unchanged() {
    let cluster = Cluster::new();
    drop(PostgresStore::open(&cluster.url("postgres")).await.unwrap());
    let all = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM (
        SELECT relname::text || relfilenode::text FROM pg_class UNION ALL SELECT prosrc FROM pg_proc
        UNION ALL SELECT m::text FROM keywright.meta AS m) AS t";
    cluster.sql("postgres", "UPDATE keywright.meta SET value = 2 WHERE name = 'schema'");
    let before = cluster.sql("postgres", all);
    for migrate in [true, false] {
        let opened = PostgresStore::builder(&cluster.url("postgres")).unwrap().migrate(migrate).open().await;
        assert!(matches!(opened, Err(OpenError::Newer { found: 2, known: 1 })), "{opened:?}");
    }
    assert_eq!(cluster.sql("postgres", all), before);

    cluster.sql("postgres", "CREATE DATABASE foreign_one");
    cluster.sql("foreign_one", "CREATE SCHEMA keywright; CREATE TABLE keywright.keys (id int)");
    let opened = PostgresStore::open(&cluster.url("foreign_one")).await;
    assert!(matches!(opened, Err(OpenError::Foreign)), "{opened:?}");
    assert_eq!(
        cluster.sql("foreign_one", "SELECT count(*) FROM pg_class WHERE relnamespace = 'keywright'::regnamespace"),
        "1"
    );

    // A schema that somebody has made for the role that migrates.
    cluster.sql("postgres", "CREATE ROLE owner LOGIN");
    cluster.sql("postgres", "CREATE DATABASE prepared");
    cluster.sql("prepared", "CREATE SCHEMA keywright AUTHORIZATION owner");
    let store = PostgresStore::open(&cluster.url_of("owner", "prepared")).await.unwrap();
    commit(&store, &account("alice")).await.unwrap();
}

/// What a distributed database is asked for, on a server that only writes it down: every table by its partition, every
/// function by its first argument.
#[tokio::test]
async fn a_distributed_database_is_asked_for_every_table_and_function() {
    let cluster = Cluster::new();
    cluster.sql(
        "postgres",
        "SET allow_system_table_mods = on;
         CREATE TABLE public.asked (number serial, what text);
         CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass);
         CREATE FUNCTION pg_catalog.create_reference_table(t regclass) RETURNS void LANGUAGE sql
             AS $$ INSERT INTO public.asked (what) VALUES ('copy ' || t) $$;
         CREATE FUNCTION pg_catalog.create_distributed_table(t regclass, c text, distribution_type text DEFAULT 'hash',
             colocate_with text DEFAULT 'default') RETURNS void LANGUAGE sql
             AS $$ INSERT INTO public.asked (what) VALUES ('table ' || t || ' ' || c || ' ' || colocate_with);
                   INSERT INTO pg_catalog.pg_dist_partition VALUES (t) $$;
         CREATE FUNCTION pg_catalog.create_distributed_function(f regprocedure, arg text DEFAULT NULL,
             colocate_with text DEFAULT 'default', force_delegation bool DEFAULT NULL) RETURNS void LANGUAGE sql
             AS $$ INSERT INTO public.asked (what) VALUES ('function ' || split_part(f::text, '(', 1) || ' ' || arg ||
                 ' ' || colocate_with || ' ' || force_delegation) $$",
    );
    for _ in 0..2 {
        // The second time, everything is distributed already.
        PostgresStore::builder(&cluster.url("postgres")).unwrap().distribute().open().await.unwrap();
    }
    let mut expected = vec!["copy keywright.meta".to_owned(), "table keywright.roots partition default".to_owned()];
    for table in ["records", "ciphers", "stages", "staged", "events"] {
        expected.push(format!("table keywright.{table} partition keywright.roots"));
    }
    for function in ["apply", "hold", "stage", "unstage", "sweep", "forget"] {
        expected.push(format!("function keywright.{function} p_partition keywright.roots true"));
    }
    assert_eq!(cluster.sql("postgres", "SELECT what FROM public.asked ORDER BY number"), expected.join("\n"));
}

//! The tables and functions, versioned by a row of `keywright.meta`, with forward migrations.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::call::Protocol;
use crate::fault::{Fault, FaultKind, OpenError};

/// The step from each version to the next. A step is never edited once released; steps are only
/// added.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001.sql")];

/// The oldest server on which this was tested (`server_version_num`).
const OLDEST_SERVER: i64 = 150_000;

/// One migration at a time: the key of an advisory lock. Any number that nobody else uses.
const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(5431205513406051)";

/// Within a migration, names without a schema are PostgreSQL's own, and no limit of the session
/// applies.
const CALM: &str = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = 0; \
    SET LOCAL lock_timeout = '60s'; SET LOCAL synchronous_commit = on";

/// The newest version that this program knows.
pub(crate) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

async fn one(connection: &mut PgConnection, sql: &'static str) -> Result<PgRow, Fault> {
    Ok(sqlx::raw_sql(sql).fetch_one(connection).await?)
}

/// Checks what the server promises.
///
/// # Errors
/// Returns the [`OpenError`] that names what is missing.
pub(crate) async fn check_server(connection: &mut PgConnection, protocol: Protocol) -> Result<(), OpenError> {
    let row = one(
        connection,
        "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int8 AS version,
             pg_catalog.current_setting('fsync') AS fsync, pg_catalog.pg_is_in_recovery() AS standby,
             pg_catalog.current_setting('bytea_output') AS bytea_output",
    )
    .await?;
    let found: i64 = row.try_get("version")?;
    if found < OLDEST_SERVER {
        return Err(OpenError::Server { found, known: OLDEST_SERVER });
    }
    if row.try_get("standby")? {
        return Err(Fault::new(FaultKind::Standby).into());
    }
    if row.try_get::<&str, _>("fsync")? == "off" {
        return Err(OpenError::NoFsync);
    }
    let found: String = row.try_get("bytea_output")?;
    if protocol == Protocol::Simple && found != "hex" {
        return Err(OpenError::ByteaOutput { found });
    }
    Ok(())
}

/// Returns the database's version, or 0 if it has none of our tables.
async fn version(connection: &mut PgConnection) -> Result<i64, OpenError> {
    let row = one(
        connection,
        "SELECT pg_catalog.count(*) AS ours,
             pg_catalog.count(*) FILTER (WHERE c.relname OPERATOR(pg_catalog.=) 'meta'::pg_catalog.name) AS meta
         FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE n.nspname OPERATOR(pg_catalog.=) 'keywright'::pg_catalog.name",
    )
    .await?;
    let (ours, meta): (i64, i64) = (row.try_get("ours")?, row.try_get("meta")?);
    if ours == 0 {
        return Ok(0);
    }
    if meta == 0 {
        return Err(OpenError::Foreign);
    }
    let row = one(
        connection,
        "SELECT (SELECT m.value FROM keywright.meta AS m
             WHERE m.name OPERATOR(pg_catalog.=) 'schema'::pg_catalog.text) AS version",
    )
    .await?;
    let found: Option<i64> = row.try_get("version")?;
    let (found, known) = (found.ok_or(OpenError::Foreign)?, known_version());
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(found) }
}

/// Checks that the database has exactly the version that this program needs.
///
/// # Errors
/// Returns [`OpenError::Newer`], [`OpenError::Older`] or [`OpenError::Foreign`], or the fault.
pub(crate) async fn check_version(connection: &mut PgConnection) -> Result<(), OpenError> {
    let (found, known) = (version(connection).await?, known_version());
    if found < known { Err(OpenError::Older { found, known }) } else { Ok(()) }
}

/// Migrates the database to the newest version, in one transaction, one process at a time.
///
/// # Errors
/// Returns [`OpenError`]. The database is unchanged then.
pub(crate) async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    if version(connection).await? == known_version() {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(CALM).execute(&mut *transaction).await?;
    one(&mut transaction, LOCK).await?;
    // Read again, because another process may have migrated it meanwhile.
    let from = version(&mut transaction).await?;
    for step in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    // Only a number is written into it.
    let note = format!(
        "INSERT INTO keywright.meta (name, value) VALUES ('schema', {}) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value; \
         INSERT INTO keywright.meta (name, value) VALUES ('store', (random() * 253402300799)::bigint) \
         ON CONFLICT (name) DO NOTHING",
        known_version()
    );
    sqlx::raw_sql(AssertSqlSafe(note)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Grants roles the rights to serve requests, and revokes any others.
///
/// # Errors
/// Returns the fault. No right was changed then.
pub(crate) async fn grant(connection: &mut PgConnection, roles: &[String]) -> Result<(), OpenError> {
    if roles.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    for role in roles {
        let role = quoted(role)?;
        let rights = format!(
            "REVOKE ALL ON ALL TABLES IN SCHEMA keywright FROM {role}; \
             GRANT USAGE ON SCHEMA keywright TO {role}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA keywright TO {role}; \
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA keywright TO {role}"
        );
        sqlx::raw_sql(AssertSqlSafe(rights)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Returns a name as a quoted identifier.
fn quoted(name: &str) -> Result<String, Fault> {
    if name.is_empty() || name.contains('\0') {
        return Err(Fault::new(FaultKind::Refused));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

macro_rules! distributed_function {
    ($name:literal) => {
        concat!(
            "SELECT pg_catalog.create_distributed_function(p.oid::pg_catalog.regprocedure, 'p_partition', \
             colocate_with := 'keywright.roots', force_delegation := true) FROM pg_catalog.pg_proc AS p \
             WHERE p.oid::pg_catalog.regprocedure::pg_catalog.text LIKE 'keywright.",
            $name,
            "(%'"
        )
    };
}
/// What a Citus cluster is asked for. Every table is distributed by its partition and on the same
/// nodes; every function runs where its partition is, and may read no other.
pub(crate) const DISTRIBUTE: [&str; 13] = [
    "SELECT pg_catalog.create_reference_table('keywright.meta')",
    "SELECT pg_catalog.create_distributed_table('keywright.roots', 'partition')",
    "SELECT pg_catalog.create_distributed_table('keywright.records', 'partition', colocate_with := 'keywright.roots')",
    "SELECT pg_catalog.create_distributed_table('keywright.ciphers', 'partition', colocate_with := 'keywright.roots')",
    "SELECT pg_catalog.create_distributed_table('keywright.stages', 'partition', colocate_with := 'keywright.roots')",
    "SELECT pg_catalog.create_distributed_table('keywright.staged', 'partition', colocate_with := 'keywright.roots')",
    "SELECT pg_catalog.create_distributed_table('keywright.events', 'partition', colocate_with := 'keywright.roots')",
    distributed_function!("apply"),
    distributed_function!("hold"),
    distributed_function!("stage"),
    distributed_function!("unstage"),
    distributed_function!("sweep"),
    distributed_function!("forget"),
];

/// Distributes what is not distributed yet.
///
/// # Errors
/// Returns the fault. Nothing is distributed then.
pub(crate) async fn distribute(connection: &mut PgConnection) -> Result<(), OpenError> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(CALM).execute(&mut *transaction).await?;
    one(&mut transaction, LOCK).await?;
    let row = one(
        &mut transaction,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_partition
             WHERE logicalrelid = 'keywright.events'::pg_catalog.regclass) AS done",
    )
    .await?;
    if !row.try_get("done")? {
        for statement in DISTRIBUTE {
            sqlx::raw_sql(statement).execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Returns the database's own number, which it was given when it was created.
///
/// # Errors
/// Returns the fault if it cannot be read.
pub(crate) async fn id(connection: &mut PgConnection) -> Result<i64, Fault> {
    let row = one(
        connection,
        "SELECT (SELECT m.value FROM keywright.meta AS m
             WHERE m.name OPERATOR(pg_catalog.=) 'store'::pg_catalog.text) AS id",
    )
    .await?;
    let found: Option<i64> = row.try_get("id")?;
    found.ok_or_else(|| Fault::at("meta", "store"))
}

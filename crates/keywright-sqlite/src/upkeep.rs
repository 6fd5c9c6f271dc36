//! Housekeeping: the horizon, the sweep, old events, due work, and the list of partitions.

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{HORIZON_STEP, Partition};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::{Fault, FaultKind};
use crate::raw::{Raw, Strays};
use crate::rows::{ApplyError, at_most};
use crate::schema::PARTITIONED;
use crate::{read, vault};

/// A partition's chain of events.
pub(crate) type Chain = (Partition, EventChain);

/// The present horizon. A value that is not a moment counts as none: the next round starts again
/// from the newest event, and no sweep uses it meanwhile.
pub(crate) fn horizon(connection: &Connection) -> Result<Option<UnixSeconds>, Fault> {
    let found = connection
        .prepare_cached("SELECT value FROM keywright_meta WHERE name = 'horizon'")?
        .query_row([], |row| Ok(row.get_ref(0)?.as_i64().ok().and_then(|value| read::moment(value).ok())))
        .optional()?;
    if found == Some(None) {
        tracing::error!("the stored sweep horizon is not a valid time and will be set again");
    }
    Ok(found.flatten())
}

/// Moves the horizon and returns its new value.
pub(crate) fn move_horizon(connection: &Connection, now: UnixSeconds) -> Result<u64, ApplyError> {
    let stands = horizon(connection).map_err(ApplyError::Refused)?;
    let from = match stands {
        Some(stands) => stands,
        None => newest_event(connection).map_err(ApplyError::Refused)?.unwrap_or(now),
    };
    let moved = now.min(from.plus(HORIZON_STEP));
    if stands != Some(moved) {
        connection
            .prepare_cached(
                "INSERT INTO keywright_meta (name, value) VALUES ('horizon', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute([at_most(moved.get())])?;
    }
    Ok(moved.get())
}

/// The newest event that has a moment.
fn newest_event(connection: &Connection) -> Result<Option<UnixSeconds>, Fault> {
    let newest: Option<i64> = connection
        .prepare_cached("SELECT MAX(at) FROM keywright_events WHERE at BETWEEN 0 AND ?1")?
        .query_row([at_most(UnixSeconds::MAX.get())], |row| row.get(0))?;
    newest.map(read::moment).transpose()
}

/// Drops what has expired. Each outer statement repeats the predicate, so that a row is judged as
/// it is when it is deleted.
///
/// A damaged page ends none of the three parts: what cannot be deleted is left, and the rest goes.
pub(crate) fn sweep(connection: &Connection, limit: u32) -> Result<u64, ApplyError> {
    let Some(horizon) = horizon(connection).map_err(ApplyError::Refused)? else { return Ok(0) };
    let horizon = at_most(horizon.get());
    let mut swept = 0_u64;
    for part in [sweep_records, sweep_stages, sweep_accounts] {
        let left = u32::try_from(u64::from(limit).saturating_sub(swept)).unwrap_or(u32::MAX);
        swept = swept.saturating_add(part(connection, horizon, left)?);
    }
    match note_timeless(connection) {
        Err(error) if is_damage(&error) => {}
        noted => noted?,
    }
    Ok(swept)
}

/// A part of the sweep: how many it dropped, at most `limit`, of what expired before a time.
fn sweep_records(connection: &Connection, horizon: i64, limit: u32) -> Result<u64, ApplyError> {
    let at_once = |limit| {
        let swept = connection
            .prepare_cached(
                "DELETE FROM keywright_records WHERE purge_after < ?1 AND (partition, slot) IN
                 (SELECT partition, slot FROM keywright_records WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2)",
            )?
            .execute(params![horizon, limit])?;
        Ok(count(swept))
    };
    around_damage(connection, limit, at_once, || {
        let keys = "SELECT partition, slot FROM keywright_records WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2";
        let delete = "DELETE FROM keywright_records WHERE partition = ?1 AND slot = ?2 AND purge_after < ?3";
        each(connection, limit, keys, horizon, |partition, slot| {
            Ok(connection.prepare_cached(delete)?.execute(params![partition, slot, horizon])? > 0)
        })
    })
}

fn sweep_stages(connection: &Connection, horizon: i64, limit: u32) -> Result<u64, ApplyError> {
    // Raw values, because what belongs to a stage or a partition is found by its key, whatever form
    // that has.
    let at_once = |limit| {
        let stages = connection
            .prepare_cached(
                "DELETE FROM keywright_stages WHERE purge_after < ?1 AND (partition, stage) IN
                 (SELECT partition, stage FROM keywright_stages WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2)
                 RETURNING partition, stage",
            )?
            .query_map(params![horizon, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(Raw, Raw)>, _>>()?;
        for (partition, stage) in &stages {
            vault::drop_staged(connection, partition, stage)?;
        }
        Ok(count(stages.len()))
    };
    around_damage(connection, limit, at_once, || {
        let keys = "SELECT partition, stage FROM keywright_stages WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2";
        let delete = "DELETE FROM keywright_stages WHERE partition = ?1 AND stage = ?2 AND purge_after < ?3";
        each(connection, limit, keys, horizon, |partition, stage| {
            let is_gone = connection.prepare_cached(delete)?.execute(params![partition, stage, horizon])? > 0;
            if is_gone {
                vault::drop_staged(connection, partition, stage)?;
            }
            Ok(is_gone)
        })
    })
}

fn sweep_accounts(connection: &Connection, horizon: i64, limit: u32) -> Result<u64, ApplyError> {
    let drop_rest = |partition: &Raw| {
        for table in PARTITIONED {
            connection.prepare_cached(&format!("DELETE FROM {table} WHERE partition = ?1"))?.execute([partition])?;
        }
        Ok::<_, ApplyError>(())
    };
    let at_once = |limit| {
        let partitions = connection
            .prepare_cached(
                "DELETE FROM keywright_roots WHERE purge_after < ?1 AND partition IN
                 (SELECT partition FROM keywright_roots WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2)
                 RETURNING partition",
            )?
            .query_map(params![horizon, limit], |row| row.get(0))?
            .collect::<Result<Vec<Raw>, _>>()?;
        for partition in &partitions {
            drop_rest(partition)?;
        }
        Ok(count(partitions.len()))
    };
    around_damage(connection, limit, at_once, || {
        let keys =
            "SELECT partition, partition FROM keywright_roots WHERE purge_after < ?1 ORDER BY purge_after LIMIT ?2";
        let delete = "DELETE FROM keywright_roots WHERE partition = ?1 AND purge_after < ?2";
        each(connection, limit, keys, horizon, |partition, _| {
            let is_gone = connection.prepare_cached(delete)?.execute(params![partition, horizon])? > 0;
            if is_gone {
                drop_rest(partition)?;
            }
            Ok(is_gone)
        })
    })
}

/// How many rows that cannot be deleted may be before others that can.
const MAX_DAMAGED: u32 = 4_096;

/// Runs a part of the sweep as few statements, and again row by row if a page of it is damaged.
fn around_damage(
    connection: &Connection,
    limit: u32,
    at_once: impl Fn(u32) -> Result<u64, ApplyError>,
    one_by_one: impl Fn() -> Result<u64, ApplyError>,
) -> Result<u64, ApplyError> {
    match saved(connection, || at_once(limit)) {
        Err(error) if is_damage(&error) => {}
        swept => return swept,
    }
    match saved(connection, one_by_one) {
        Err(error) if is_damage(&error) => {
            tracing::error!("expired rows cannot be listed, because the database file is damaged");
            Ok(0)
        }
        swept => swept,
    }
}

/// Deletes rows one by one, at most `limit`. Those that are damaged are left.
fn each(
    connection: &Connection,
    limit: u32,
    keys: &str,
    horizon: i64,
    delete: impl Fn(&Raw, &Raw) -> Result<bool, ApplyError>,
) -> Result<u64, ApplyError> {
    let keys = connection
        .prepare_cached(keys)?
        .query_map(params![horizon, limit.saturating_add(MAX_DAMAGED)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(Raw, Raw)>, _>>()?;
    let (mut swept, mut damaged) = (0_u64, 0_u64);
    for (partition, second) in &keys {
        if swept >= u64::from(limit) {
            break;
        }
        match saved(connection, || delete(partition, second)) {
            Ok(is_gone) => swept = swept.saturating_add(u64::from(is_gone)),
            Err(error) if is_damage(&error) => damaged = damaged.saturating_add(1),
            Err(error) => return Err(error),
        }
    }
    if damaged > 0 {
        tracing::error!(damaged, "expired rows cannot be deleted, because the database file is damaged where they are");
    }
    Ok(swept)
}

/// Runs statements that are undone together if one fails.
fn saved<T>(connection: &Connection, run: impl FnOnce() -> Result<T, ApplyError>) -> Result<T, ApplyError> {
    connection.execute_batch("SAVEPOINT keywright_sweep")?;
    let done = run();
    let end = if done.is_ok() { "RELEASE" } else { "ROLLBACK TO keywright_sweep; RELEASE" };
    connection.execute_batch(&format!("{end} keywright_sweep"))?;
    done
}

fn is_damage(error: &ApplyError) -> bool {
    matches!(error, ApplyError::Failed(fault) | ApplyError::Refused(fault) if fault.kind() == FaultKind::Corrupt)
}

/// The columns with moments: a table, and its column.
const MOMENTS: [(&str, &str); 5] = [
    ("keywright_records", "purge_after"),
    ("keywright_stages", "purge_after"),
    ("keywright_roots", "purge_after"),
    ("keywright_roots", "due_at"),
    ("keywright_events", "at"),
];

/// Logs rows whose moment is not one: a text, a blob, or a number beyond every moment. They compare
/// as later than all others, so they are never swept, due or forgotten. An index finds them.
fn note_timeless(connection: &Connection) -> Result<(), ApplyError> {
    let mut strays = Strays::of("sweep");
    for (table, column) in MOMENTS {
        let mut select = connection.prepare_cached(&timeless(table, column))?;
        let mut rows = select.query([at_most(UnixSeconds::MAX.get())])?;
        while let Some(row) = rows.next()? {
            strays.note(table, &row.get(0)?);
        }
    }
    Ok(())
}

fn timeless(table: &str, column: &str) -> String {
    format!("SELECT partition FROM {table} WHERE {column} > ?1 LIMIT 8")
}

/// The chains whose oldest event is older than the horizon by more than `age` and is not their
/// newest event, at most `limit`. This is a query for a reader, so the writer does not wait while
/// idle accounts, whose last event is kept, are skipped.
///
/// Events at a place that cannot be read are left out, and those behind it are found.
pub(crate) fn forgettable(connection: &Connection, age: u64, limit: u32) -> Result<Vec<Chain>, Fault> {
    let Some(horizon) = horizon(connection)? else { return Ok(Vec::new()) };
    let cutoff = at_most(horizon.minus(age).get());
    let (mut chains, mut from, mut step) = (Vec::new(), i64::MIN, 1_i64);
    loop {
        let place = from;
        match find_forgettable(connection, (&mut from, cutoff), limit, &mut chains) {
            Err(fault) if fault.kind() == FaultKind::Corrupt => {}
            done => {
                done?;
                break;
            }
        }
        // The place is left out, and more of it each time that nothing is read behind it.
        step = if from == place { step.saturating_mul(4) } else { 1 };
        from = from.max(0).saturating_add(step);
        tracing::error!("old events cannot be found, because the database file is damaged where they are");
        if from >= cutoff {
            break;
        }
    }
    // Those before the damage were found twice if they are of its second.
    let mut seen = std::collections::HashSet::new();
    chains.retain(|(partition, chain): &Chain| seen.insert((partition.clone(), chain.number())));
    Ok(chains)
}

/// Adds chains with an old event from `from` on, and moves `from` to the last event that was read.
fn find_forgettable(
    connection: &Connection,
    (from, cutoff): (&mut i64, i64),
    limit: u32,
    chains: &mut Vec<Chain>,
) -> Result<(), Fault> {
    let mut select = connection.prepare_cached(FORGETTABLE)?;
    let mut rows = select.query([cutoff, *from])?;
    let mut strays = Strays::of("forgetting events");
    while chains.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        let (partition, chain): (Raw, Raw) = (row.get(0)?, row.get(1)?);
        *from = row.get(2)?;
        let number = if let Raw::Integer(number) = chain { u8::try_from(number).ok() } else { None };
        match (known(&partition), number.and_then(EventChain::from_number)) {
            (Some(partition), Some(chain)) => chains.push((partition, chain)),
            _ => strays.note("keywright_events", &partition),
        }
    }
    Ok(())
}

const FORGETTABLE: &str = "SELECT partition, chain, at FROM keywright_events AS old INDEXED BY keywright_events_at
    WHERE at < ?1 AND at >= ?2
    AND NOT EXISTS (SELECT 1 FROM keywright_events
        WHERE partition = old.partition AND chain = old.chain AND number < old.number)
    AND EXISTS (SELECT 1 FROM keywright_events
        WHERE partition = old.partition AND chain = old.chain AND number > old.number)
    ORDER BY at";

/// Drops at most `limit` old events of these chains. Each chain is judged as it is now.
pub(crate) fn forget_events(
    connection: &Connection,
    chains: &[Chain],
    age: u64,
    limit: u32,
) -> Result<u64, ApplyError> {
    let Some(horizon) = horizon(connection).map_err(ApplyError::Refused)? else { return Ok(0) };
    let cutoff = at_most(horizon.minus(age).get());
    // Below the first event that is young enough, and below the newest. The plus keeps SQLite on
    // the chain's key.
    let mut delete = connection.prepare_cached(
        "DELETE FROM keywright_events WHERE partition = ?1 AND chain = ?2
         AND number < (SELECT MAX(number) FROM keywright_events WHERE partition = ?1 AND chain = ?2)
         AND number < coalesce((SELECT number FROM keywright_events
             WHERE partition = ?1 AND chain = ?2 AND +at >= ?3 ORDER BY number LIMIT 1), 9223372036854775807)
         AND number IN (SELECT number FROM keywright_events
             WHERE partition = ?1 AND chain = ?2 ORDER BY number LIMIT ?4)",
    )?;
    let mut forgotten = 0_u64;
    let mut damaged = 0_u64;
    for (partition, chain) in chains {
        let left = at_most(u64::from(limit).saturating_sub(forgotten));
        // A statement that fails is undone by itself.
        match delete.execute(params![partition.key(), chain.number(), cutoff, left]).map_err(ApplyError::from) {
            Ok(gone) => forgotten = forgotten.saturating_add(count(gone)),
            Err(error) if is_damage(&error) => damaged = damaged.saturating_add(1),
            Err(error) => return Err(error),
        }
    }
    if damaged > 0 {
        tracing::error!(damaged, "old events cannot be deleted, because the database file is damaged where they are");
    }
    Ok(forgotten)
}

pub(crate) fn due(connection: &Connection, before: UnixSeconds, limit: u32) -> Result<Vec<Partition>, Fault> {
    let mut select = connection.prepare_cached(DUE)?;
    let mut rows = select.query([at_most(before.get())])?;
    let (mut found, mut strays) = (Vec::new(), Strays::of("due work"));
    // The limit counts what is found, because rows of an unknown form must not hide those after
    // them.
    while found.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        let key = row.get(0)?;
        match known(&key) {
            Some(partition) => found.push(partition),
            None => strays.note("keywright_roots", &key),
        }
    }
    Ok(found)
}

const DUE: &str = "SELECT partition FROM keywright_roots WHERE due_at <= ?1 ORDER BY due_at, partition";

/// The partitions after `after`. Each one is found by one search of each table's primary key, so no
/// table is scanned.
pub(crate) fn partitions(
    connection: &Connection,
    after: Option<&Partition>,
    limit: u32,
) -> Result<Vec<Partition>, Fault> {
    // No partition is the empty string.
    let mut after = Raw::Text(after.map(Partition::key).unwrap_or_default().into());
    let (mut found, mut strays) = (Vec::new(), Strays::of("the list of partitions"));
    while found.len() < limit as usize {
        let mut next: Option<(Raw, &str)> = None;
        for table in PARTITIONED {
            let behind: Option<Raw> = connection
                .prepare_cached(&format!(
                    "SELECT partition FROM {table} WHERE partition > ?1 ORDER BY partition LIMIT 1"
                ))?
                .query_row([&after], |row| row.get(0))
                .optional()?;
            if let Some(behind) = behind
                && next.as_ref().is_none_or(|(next, _)| behind.compare(next).is_lt())
            {
                next = Some((behind, table));
            }
        }
        let Some((key, table)) = next else { break };
        match known(&key) {
            Some(partition) => found.push(partition),
            None => strays.note(table, &key),
        }
        after = key;
    }
    Ok(found)
}

/// Returns the partition of a key, if it is one.
fn known(key: &Raw) -> Option<Partition> {
    key.text().and_then(|key| Partition::parse(key).ok())
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connection: &Connection, sql: &str) -> String {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![1; explain.parameter_count()];
        let lines = explain.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    }

    #[test]
    fn the_indexes_answer() {
        let settings =
            crate::connect::Settings { busy_timeout: std::time::Duration::ZERO, size_limit: None, adopt: false };
        let connection = crate::connect::memory(&settings).unwrap();
        let due = plan(&connection, DUE);
        assert!(due.contains("INDEX keywright_roots_due (due_at<?)"), "{due}");
        let forgettable = plan(&connection, FORGETTABLE);
        assert!(forgettable.contains("INDEX keywright_events_at (at>? AND at<?)"), "{forgettable}");
        let mut plans = vec![due, forgettable];
        plans.extend(MOMENTS.map(|(table, column)| plan(&connection, &timeless(table, column))));
        for plan in plans {
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}

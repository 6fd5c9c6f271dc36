//! Housekeeping. A list of partitions is read first; then each of them is visited by a statement
//! of its own, which judges it as it is.

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::Partition;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::call::{Call, Value};
use crate::fault::Fault;
use crate::link::Link;
use crate::read::on_primary;
use crate::statements as sql;
use crate::write::{at_most, count, seconds};

/// How many rows of an unknown form one call names in the log.
const NAMED: usize = 8;

fn number(number: u64) -> Value<'static> {
    Value::Number(Some(at_most(number)))
}

pub(crate) async fn horizon(link: &mut Link<'_>) -> Result<Option<UnixSeconds>, Fault> {
    let rows = link.run(Call::new(sql::HORIZON, Vec::new())).await?;
    on_primary(&rows)?;
    let value: Option<i64> = rows.first().map_or(Ok(None), |row| row.try_get("value"))?;
    let moment = |seconds| u64::try_from(seconds).ok().and_then(|seconds| UnixSeconds::new(seconds).ok());
    value.map(|seconds| moment(seconds).ok_or_else(|| Fault::at("meta", "horizon"))).transpose()
}

pub(crate) async fn move_horizon(link: &mut Link<'_>, now: UnixSeconds) -> Result<u64, Fault> {
    count(link, Call::new(sql::MOVE_HORIZON, vec![Value::Number(Some(seconds(now)))])).await
}

/// What a sweep drops, in this order, and the statement that lists where.
const KINDS: [(i64, &str); 3] = [(0, sql::EXPIRED_RECORDS), (1, sql::EXPIRED_STAGES), (2, sql::EXPIRED_ROOTS)];

pub(crate) async fn sweep(link: &mut Link<'_>, limit: u32) -> Result<u64, Fault> {
    let Some(horizon) = horizon(link).await? else { return Ok(0) };
    let mut swept = 0_u64;
    for (kind, listing) in KINDS {
        let left = u64::from(limit).saturating_sub(swept);
        let rows = link.run(Call::new(listing, vec![number(horizon.get()), number(left)])).await?;
        for row in &rows {
            let left = u64::from(limit).saturating_sub(swept);
            if left == 0 {
                return Ok(swept);
            }
            // The bytes, whatever form the key has: what expires is swept.
            let key: Vec<u8> = row.try_get(0)?;
            let values = vec![Value::Bytes(Some(&key)), Value::Number(Some(kind)), number(left)];
            swept = swept.saturating_add(count(link, Call::new(sql::SWEEP, values)).await?);
        }
    }
    Ok(swept)
}

pub(crate) async fn forget_events(link: &mut Link<'_>, age: u64, limit: u32) -> Result<u64, Fault> {
    let Some(horizon) = horizon(link).await? else { return Ok(0) };
    let values = vec![number(horizon.minus(age).get()), number(limit.into())];
    let rows = link.run(Call::new(sql::FORGETTABLE, values)).await?;
    let mut forgotten = 0_u64;
    for row in &rows {
        let left = u64::from(limit).saturating_sub(forgotten);
        if left == 0 {
            break;
        }
        let (key, chain): (Vec<u8>, i64) = (row.try_get(0)?, row.try_get(1)?);
        if known(&key).is_none() || u8::try_from(chain).ok().and_then(EventChain::from_number).is_none() {
            note_stray("events", &key);
            continue;
        }
        let values = vec![Value::Bytes(Some(&key)), Value::Number(Some(chain)), number(age), number(left)];
        forgotten = forgotten.saturating_add(count(link, Call::new(sql::FORGET, values)).await?);
    }
    Ok(forgotten)
}

pub(crate) async fn due(link: &mut Link<'_>, before: UnixSeconds, limit: u32) -> Result<Vec<Partition>, Fault> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut after: (i64, Vec<u8>) = (-1, Vec::new());
    // Rows of an unknown form must not hide those after them, so the limit counts what is found.
    while found.len() < wanted {
        let values = vec![
            Value::Number(Some(seconds(before))),
            Value::Number(Some(after.0)),
            Value::Bytes(Some(&after.1)),
            number(limit.into()),
        ];
        let rows = link.run(Call::new(sql::DUE, values)).await?;
        on_primary(&rows)?;
        let Some(last) = rows.last() else { break };
        // Where nothing more is due, the answer is one row about the server alone.
        let (Some(due_at), Some(partition)) = (last.try_get("due_at")?, last.try_get("partition")?) else { break };
        after = (due_at, partition);
        found.extend(partitions_of(&rows, "roots")?);
    }
    found.truncate(wanted);
    Ok(found)
}

pub(crate) async fn partitions(
    link: &mut Link<'_>,
    after: Option<&Partition>,
    limit: u32,
) -> Result<Vec<Partition>, Fault> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    // No partition is empty.
    let mut after = after.map(|after| after.key().as_bytes().to_vec()).unwrap_or_default();
    let mut found = Vec::new();
    while found.len() < wanted {
        let rows = link.run(Call::new(sql::NEXT_PARTITION, vec![Value::Bytes(Some(&after))])).await?;
        on_primary(&rows)?;
        let Some(partition) = rows.first().map_or(Ok(None), |row| row.try_get("partition"))? else { break };
        after = partition;
        found.extend(partitions_of(&rows, "keywright")?);
    }
    Ok(found)
}

/// The partitions of rows. Those of an unknown form are passed over, and named in the log.
fn partitions_of(rows: &[PgRow], table: &'static str) -> Result<Vec<Partition>, Fault> {
    let mut found = Vec::with_capacity(rows.len());
    let mut strays = 0_usize;
    for row in rows {
        let key: Vec<u8> = row.try_get("partition")?;
        match known(&key) {
            Some(partition) => found.push(partition),
            None => {
                strays = strays.saturating_add(1);
                if strays <= NAMED {
                    note_stray(table, &key);
                }
            }
        }
    }
    Ok(found)
}

fn known(key: &[u8]) -> Option<Partition> {
    std::str::from_utf8(key).ok().and_then(|key| Partition::parse(key).ok())
}

fn note_stray(table: &str, key: &[u8]) {
    let key: String = String::from_utf8_lossy(key).chars().take(48).collect();
    tracing::error!(table, key, "a row of an unknown form was passed over");
}

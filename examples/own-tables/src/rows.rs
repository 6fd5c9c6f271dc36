//! One load, one check and one batch, on a connection or in a transaction.

use bytes::Bytes;
use deadpool_postgres::{GenericClient, Transaction};
use keywright::core::{EventChain, UnixSeconds};
use keywright::store::{
    Batch, EventNumber, Newest, Partition, Revision, SlotName, Snapshot, Stored, StoredEvent, StoredEvents, Write,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::fault::Fault;

pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The roots' table, which messages name.
const ROOTS: &str = "account_security_roots";

/// Everything that a load answers, in **one statement**, so that all of it is of one snapshot.
const LOAD: &str = "
    SELECT r.revision, r.body,
        ARRAY(SELECT x.body FROM unnest($2::text[]) WITH ORDINALITY AS s(slot, place)
            LEFT JOIN shop.account_security_records AS x ON x.owner = $1 AND x.slot = s.slot ORDER BY s.place),
        (SELECT max(number) FROM shop.account_security_events WHERE owner = $1 AND chain = 0),
        (SELECT max(number) FROM shop.account_security_events WHERE owner = $1 AND chain = 1),
        EXISTS (SELECT FROM shop.account_security_records WHERE owner = $1)
            OR EXISTS (SELECT FROM shop.account_security_events WHERE owner = $1)
    FROM (VALUES (1)) AS one LEFT JOIN shop.account_security_roots AS r ON r.owner = $1";

pub(crate) async fn load(
    client: &impl GenericClient,
    partition: &Partition,
    slots: &[SlotName],
) -> Result<Snapshot, Fault> {
    let slots: Vec<String> = slots.iter().map(SlotName::to_text).collect();
    let row = client.query_one(&client.prepare_cached(LOAD).await?, &[&partition.key(), &slots]).await?;
    let root = match (revision(&row)?, row.try_get::<_, Option<Vec<u8>>>(1)?) {
        (Some(revision), Some(body)) => Some(Stored { revision, body: body.into() }),
        _ => None,
    };
    let records: Vec<Option<Vec<u8>>> = row.try_get(2)?;
    let records = records.into_iter().map(|body| body.map(Bytes::from)).collect();
    let newest = |column: usize| -> Result<EventNumber, Fault> {
        unsigned(row.try_get::<_, Option<i64>>(column)?.unwrap_or(0), "account_security_events")
    };
    let newest = Newest { changes: newest(3)?, denials: newest(4)? };
    Ok(Snapshot { root, records, newest, has_rows: row.try_get(5)? })
}

/// Whether the root has this revision. `held`: and keeps it until the transaction ends.
pub(crate) async fn is_current(
    client: &impl GenericClient,
    partition: &Partition,
    expect: Option<Revision>,
    held: bool,
) -> Result<bool, Fault> {
    let sql = if held {
        "SELECT revision FROM shop.account_security_roots WHERE owner = $1 FOR UPDATE"
    } else {
        "SELECT revision FROM shop.account_security_roots WHERE owner = $1"
    };
    let row = client.query_opt(&client.prepare_cached(sql).await?, &[&partition.key()]).await?;
    Ok(row.map_or(Ok(None), |row| revision(&row))? == expect)
}

/// Applies a batch that writes. `false`: the guard does not hold, and nothing was written.
///
/// The first statement is the guard, and it is also what locks the root's row: whoever comes second waits here, sees the
/// new revision, and changes no row. So nothing after it needs a condition of its own.
pub(crate) async fn apply(
    transaction: &Transaction<'_>,
    partition: &Partition,
    expect: Option<Revision>,
    write: &Write,
) -> Result<bool, Fault> {
    if write.vault.is_some() {
        return Err(Fault::Failed("these tables keep no vaults".into()));
    }
    let owner = partition.key();
    // A writer whose clock is behind must not lose its partition to a sweep while a commit of its own is on its way.
    let purge = "CASE WHEN $4::bigint IS NOT NULL
        THEN greatest($4, (SELECT least(at + 86400, 253402300799) FROM shop.account_security_horizon)) END";
    let revision = write.revision.to_bytes();
    let (revision, body) = (revision.as_slice(), &*write.root);
    let (purge_after, due_at) = (moment(write.purge_after), moment(write.due_at));
    let moved = match expect.map(Revision::to_bytes) {
        None => {
            let sql = format!(
                "INSERT INTO shop.account_security_roots (owner, revision, body, purge_after, due_at)
                VALUES ($1, $2, $3, {purge}, $5) ON CONFLICT (owner) DO NOTHING"
            );
            run(transaction, &sql, &[&owner, &revision, &body, &purge_after, &due_at]).await?
        }
        Some(expect) => {
            let sql = format!(
                "UPDATE shop.account_security_roots SET revision = $2, body = $3, purge_after = {purge}, due_at = $5
                WHERE owner = $1 AND revision = $6"
            );
            run(transaction, &sql, &[&owner, &revision, &body, &purge_after, &due_at, &expect.as_slice()]).await?
        }
    };
    if moved == 0 {
        return Ok(false);
    }
    records(transaction, owner, write).await?;
    events(transaction, owner, write).await?;
    Ok(true)
}

async fn records(transaction: &Transaction<'_>, owner: &str, write: &Write) -> Result<(), Fault> {
    if write.erase {
        run(transaction, "DELETE FROM shop.account_security_records WHERE owner = $1", &[&owner]).await?;
    }
    if !write.delete.is_empty() {
        let slots: Vec<String> = write.delete.iter().map(SlotName::to_text).collect();
        let sql = "DELETE FROM shop.account_security_records WHERE owner = $1 AND slot = ANY ($2)";
        run(transaction, sql, &[&owner, &slots]).await?;
    }
    if !write.put.is_empty() {
        let slots: Vec<String> = write.put.iter().map(|put| put.slot.to_text()).collect();
        let bodies: Vec<&[u8]> = write.put.iter().map(|put| &*put.body).collect();
        let purges: Vec<Option<i64>> = write.put.iter().map(|put| moment(put.purge_after)).collect();
        let sql = "INSERT INTO shop.account_security_records (owner, slot, body, purge_after)
            SELECT $1, u.slot, u.body, u.purge_after FROM unnest($2::text[], $3::bytea[], $4::bigint[])
                AS u(slot, body, purge_after)
            ON CONFLICT (owner, slot) DO UPDATE SET body = excluded.body, purge_after = excluded.purge_after";
        run(transaction, sql, &[&owner, &slots, &bodies, &purges]).await?;
    }
    Ok(())
}

async fn events(transaction: &Transaction<'_>, owner: &str, write: &Write) -> Result<(), Fault> {
    for (chain, below) in &write.forget {
        let sql = "DELETE FROM shop.account_security_events WHERE owner = $1 AND chain = $2 AND number < $3";
        run(transaction, sql, &[&owner, &number_of(*chain), &signed(*below)]).await?;
    }
    // Without `ON CONFLICT`: a number that is taken refuses the whole batch.
    for event in &write.events {
        let sql = "INSERT INTO shop.account_security_events (owner, chain, number, at, json, prev)
            VALUES ($1, $2, $3, $4, $5, $6)";
        let (at, json, prev) = (signed(event.at.get()), &*event.json, event.prev.as_slice());
        let number = i64::try_from(event.number).map_err(|error| Fault::Failed(error.into()))?;
        run(transaction, sql, &[&owner, &number_of(event.chain), &number, &at, &json, &prev]).await?;
    }
    Ok(())
}

pub(crate) async fn page(
    client: &impl GenericClient,
    partition: &Partition,
    chain: EventChain,
    before: Option<EventNumber>,
    limit: u32,
) -> Result<StoredEvents, Fault> {
    let sql = "SELECT (SELECT revision FROM shop.account_security_roots WHERE owner = $1),
            e.number, e.at, e.json, e.prev
        FROM (VALUES (1)) AS one LEFT JOIN (SELECT * FROM shop.account_security_events
            WHERE owner = $1 AND chain = $2 AND number < $3 ORDER BY number DESC LIMIT $4) AS e ON true
        ORDER BY e.number DESC";
    let before = signed(before.unwrap_or(u64::MAX));
    let values: Values<'_> = &[&partition.key(), &number_of(chain), &before, &i64::from(limit)];
    let mut page = StoredEvents { root: None, events: Vec::new() };
    for row in client.query(&client.prepare_cached(sql).await?, values).await? {
        page.root = revision(&row)?;
        // Without an event there is one row all the same, for the root.
        let Some(number) = row.try_get::<_, Option<i64>>(1)? else { continue };
        let table = "account_security_events";
        page.events.push(StoredEvent {
            chain,
            number: unsigned(number, table)?,
            at: seconds(row.try_get(2)?, table)?,
            json: row.try_get::<_, Vec<u8>>(3)?.into(),
            prev: row.try_get::<_, Vec<u8>>(4)?.try_into().map_err(|_| Fault::Form(table))?,
        });
    }
    Ok(page)
}

/// Executes a statement that is prepared once for each connection.
pub(crate) async fn run(client: &impl GenericClient, sql: &str, values: Values<'_>) -> Result<u64, Fault> {
    Ok(client.execute(&client.prepare_cached(sql).await?, values).await?)
}

/// The first column of a row: the revision of a root, if there is one.
pub(crate) fn revision(row: &Row) -> Result<Option<Revision>, Fault> {
    let bytes: Option<&[u8]> = row.try_get(0)?;
    let revision = |bytes: &[u8]| bytes.try_into().map(Revision::from_bytes).map_err(|_| Fault::Form(ROOTS));
    bytes.map(revision).transpose()
}

/// No moment and no limit of a caller is beyond what a `bigint` holds, and a larger number means "all" in the same way.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64, table: &'static str) -> Result<u64, Fault> {
    u64::try_from(number).map_err(|_| Fault::Form(table))
}

pub(crate) fn seconds(stored: i64, table: &'static str) -> Result<UnixSeconds, Fault> {
    UnixSeconds::new(unsigned(stored, table)?).map_err(|_| Fault::Form(table))
}

fn moment(moment: Option<UnixSeconds>) -> Option<i64> {
    moment.map(|moment| signed(moment.get()))
}

fn number_of(chain: EventChain) -> i16 {
    i16::from(chain.number())
}

/// The parts of a batch, or `None` for one that only checks its guard.
pub(crate) fn parts(batch: &Batch) -> (&Partition, Option<Revision>, Option<&Write>) {
    (batch.partition(), batch.expect(), batch.write())
}

//! The reading side. Each question is one statement, and so one snapshot.

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    CipherId, ClientNonce, EventNumber, Manifest, Mark, Newest, Partition, Revision, Row, RowMarks, SlotName, Snapshot,
    StageId, StagedText, Stored, StoredEvent, StoredEvents, StoredSlots, VaultRows,
};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::call::{Call, Value};
use crate::fault::{Fault, FaultKind};
use crate::link::Link;
use crate::statements as sql;

/// A column of a row of a partition. One that cannot be read names the table and the partition.
struct Columns<'r> {
    row: &'r PgRow,
    table: &'static str,
    partition: &'r str,
}

impl<'r> Columns<'r> {
    fn unknown(&self) -> Fault {
        Fault::at(self.table, self.partition)
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.row.try_get(name).map_err(|_| self.unknown())
    }

    fn some(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.bytes(name)?.ok_or_else(|| self.unknown())
    }

    fn fixed<const N: usize>(&self, name: &str) -> Result<[u8; N], Fault> {
        self.some(name)?.try_into().map_err(|_| self.unknown())
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        let number: Option<i64> = self.row.try_get(name).map_err(|_| self.unknown())?;
        number.map(|number| u64::try_from(number).map_err(|_| self.unknown())).transpose()
    }

    fn moment(&self, name: &str) -> Result<UnixSeconds, Fault> {
        let seconds = self.number(name)?.ok_or_else(|| self.unknown())?;
        UnixSeconds::new(seconds).map_err(|_| self.unknown())
    }

    /// Whether the row has something besides its head: a column that every row of the table has.
    fn is_there(&self, name: &str) -> Result<bool, Fault> {
        self.bytes(name).map(|found| found.is_some())
    }
}

/// Refuses the answer of a standby, which may be an old one. Every answer says what the server is.
pub(crate) fn on_primary(rows: &[PgRow]) -> Result<(), Fault> {
    let first = rows.first().ok_or_else(|| Fault::new(FaultKind::Other))?;
    if first.try_get("standby")? { Err(Fault::new(FaultKind::Standby)) } else { Ok(()) }
}

/// The root's revision, which every row repeats.
fn root(rows: &[PgRow], partition: &Partition) -> Result<Option<Revision>, Fault> {
    on_primary(rows)?;
    let row = rows.first().ok_or_else(|| Fault::new(FaultKind::Other))?;
    let columns = Columns { row, table: "roots", partition: partition.key() };
    let Some(found) = columns.bytes("root")? else { return Ok(None) };
    Ok(Some(Revision::from_bytes(found.try_into().map_err(|_| columns.unknown())?)))
}

fn key(partition: &Partition) -> Value<'_> {
    Value::Bytes(Some(partition.key().as_bytes()))
}

pub(crate) async fn load(link: &mut Link<'_>, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, Fault> {
    let texts: Vec<String> = slots.iter().map(SlotName::to_text).collect();
    let wanted = Value::Blobs(texts.iter().map(String::as_bytes).collect());
    let rows = link.run(Call::new(sql::LOAD, vec![key(partition), wanted])).await?;
    let revision = root(&rows, partition)?;
    let row = rows.first().ok_or_else(|| Fault::new(FaultKind::Other))?;
    let columns = Columns { row, table: "roots", partition: partition.key() };
    let root = match revision {
        Some(revision) => Some(Stored { revision, body: columns.some("body")?.into() }),
        None => None,
    };
    let records: Vec<Option<Vec<u8>>> = row.try_get("records").map_err(|_| Fault::at("records", partition.key()))?;
    let events = Columns { table: "events", ..columns };
    let newest =
        Newest { changes: events.number("changes")?.unwrap_or(0), denials: events.number("denials")?.unwrap_or(0) };
    let records = records.into_iter().map(|body| body.map(Bytes::from)).collect();
    Ok(Snapshot { root, records, newest, has_rows: row.try_get("has_rows")? })
}

/// Whether the root has this revision (`None`: whether there is no root).
pub(crate) async fn holds(link: &mut Link<'_>, partition: &Partition, expect: Option<Revision>) -> Result<bool, Fault> {
    let rows = link.run(Call::new(sql::CHECK, vec![key(partition)])).await?;
    Ok(root(&rows, partition)? == expect)
}

pub(crate) async fn events(
    link: &mut Link<'_>,
    partition: &Partition,
    chain: EventChain,
    before: Option<EventNumber>,
    limit: u32,
) -> Result<StoredEvents, Fault> {
    let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
    let values = vec![
        key(partition),
        Value::Number(Some(chain.number().into())),
        Value::Number(Some(before)),
        Value::Number(Some(limit.into())),
    ];
    let rows = link.run(Call::new(sql::EVENTS, values)).await?;
    let root = root(&rows, partition)?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        let columns = Columns { row, table: "events", partition: partition.key() };
        if columns.is_there("json")? {
            let number = columns.number("number")?.ok_or_else(|| columns.unknown())?;
            let (at, json, prev) = (columns.moment("at")?, columns.some("json")?.into(), columns.fixed("prev")?);
            events.push(StoredEvent { chain, number, at, json, prev });
        }
    }
    Ok(StoredEvents { root, events })
}

pub(crate) async fn slots(
    link: &mut Link<'_>,
    partition: &Partition,
    after: Option<SlotName>,
    limit: u32,
) -> Result<StoredSlots, Fault> {
    // No slot is empty.
    let after = after.map(|after| after.to_text()).unwrap_or_default();
    let values = vec![key(partition), Value::Bytes(Some(after.as_bytes())), Value::Number(Some(limit.into()))];
    let rows = link.run(Call::new(sql::SLOTS, values)).await?;
    let root = root(&rows, partition)?;
    let mut slots = Vec::with_capacity(rows.len());
    for row in &rows {
        let columns = Columns { row, table: "records", partition: partition.key() };
        if let Some(found) = columns.bytes("slot")? {
            let slot = std::str::from_utf8(&found).ok().and_then(|text| SlotName::parse(text).ok());
            slots.push(slot.ok_or_else(|| columns.unknown())?);
        }
    }
    Ok(StoredSlots { root, slots })
}

/// Returns the marks of a row. If one of its columns has an unknown form, which the tables do not
/// accept, all marks are zero. No digest authenticates that and nothing opens under it, so a reader
/// of the vault denies, and knows the id by which the row can be dropped.
fn marks_of(columns: &Columns<'_>) -> Result<Option<RowMarks>, Fault> {
    let Some(found) = columns.bytes("id")? else { return Ok(None) };
    let id = padded(&found);
    let sixteen = |name| Ok::<Option<[u8; 16]>, Fault>(columns.bytes(name)?.and_then(|bytes| bytes.try_into().ok()));
    Ok(Some(match (sixteen("text_mark")?, sixteen("note_mark")?, sixteen("nonce")?) {
        (Some(text), Some(note), Some(nonce)) if found.len() == 16 => {
            RowMarks { id, text: Mark(text), note: Mark(note), nonce: ClientNonce(nonce) }
        }
        _ => RowMarks { id, text: Mark::UNREADABLE, note: Mark::UNREADABLE, nonce: ClientNonce([0; 16]) },
    }))
}

/// Returns an id of any length as one of 16 bytes, in the same order.
fn padded(found: &[u8]) -> CipherId {
    let mut id = [0; 16];
    id.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
    CipherId(id)
}

fn ciphers<'r>(row: &'r PgRow, account: &'r Partition) -> Columns<'r> {
    Columns { row, table: "ciphers", partition: account.key() }
}

pub(crate) async fn manifest(link: &mut Link<'_>, account: &Partition) -> Result<Manifest, Fault> {
    let rows = link.run(Call::new(sql::MARKS, vec![key(account)])).await?;
    let root = root(&rows, account)?;
    let marks = rows.iter().filter_map(|row| marks_of(&ciphers(row, account)).transpose());
    Ok(Manifest { root, rows: marks.collect::<Result<_, _>>()? })
}

fn cipher(columns: &Columns<'_>, marks: RowMarks) -> Result<Row, Fault> {
    Ok(Row { marks, text: columns.some("text")?.into(), note: columns.some("note")?.into() })
}

pub(crate) async fn all_rows(link: &mut Link<'_>, account: &Partition) -> Result<VaultRows, Fault> {
    let rows = link.run(Call::new(sql::ROWS, vec![key(account)])).await?;
    let root = root(&rows, account)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let columns = ciphers(row, account);
        if let Some(marks) = marks_of(&columns)? {
            found.push(cipher(&columns, marks)?);
        }
    }
    Ok(VaultRows { root, rows: found, marks: None })
}

pub(crate) async fn some_rows(
    link: &mut Link<'_>,
    account: &Partition,
    ids: &[CipherId],
    with_marks: bool,
) -> Result<VaultRows, Fault> {
    let wanted = Value::Blobs(ids.iter().map(|CipherId(id)| id.as_slice()).collect());
    let rows = link.run(Call::new(sql::SOME_ROWS, vec![key(account), wanted, Value::Flag(with_marks)])).await?;
    let root = root(&rows, account)?;
    let (mut found, mut all) = (Vec::new(), Vec::new());
    for row in &rows {
        let columns = ciphers(row, account);
        let Some(marks) = marks_of(&columns)? else { continue };
        if columns.is_there("text")? {
            found.push(cipher(&columns, marks)?);
        }
        all.push(marks);
    }
    Ok(VaultRows { root, rows: found, marks: with_marks.then_some(all) })
}

pub(crate) async fn staged(
    link: &mut Link<'_>,
    account: &Partition,
    stage: StageId,
) -> Result<Vec<(CipherId, Mark)>, Fault> {
    let rows = link.run(Call::new(sql::STAGED, vec![key(account), Value::Bytes(Some(&stage.0))])).await?;
    on_primary(&rows)?;
    rows.iter().filter_map(|row| staged_marks(row, account).transpose()).collect()
}

/// Returns the id and the mark of a staged row, if there is one in this row of the answer. One with a column of an unknown form, which the
/// tables do not accept, cannot be promoted: it gets the mark that nobody draws, and must not keep
/// the others from being read.
fn staged_marks(row: &PgRow, account: &Partition) -> Result<Option<(CipherId, Mark)>, Fault> {
    let columns = Columns { row, table: "staged", partition: account.key() };
    let Some(id) = columns.bytes("id")? else { return Ok(None) };
    let is_whole = id.len() == 16 && columns.some("nonce")?.len() == 16;
    let mark: Option<[u8; 16]> = columns.some("text_mark")?.try_into().ok();
    Ok(Some((padded(&id), mark.filter(|_| is_whole).map_or(Mark::UNREADABLE, Mark))))
}

pub(crate) async fn staged_texts(
    link: &mut Link<'_>,
    account: &Partition,
    stage: StageId,
    after: Option<CipherId>,
    limit: u32,
) -> Result<Vec<StagedText>, Fault> {
    // Every id sorts after the empty one.
    let after = after.as_ref().map_or(&[][..], |CipherId(id)| id.as_slice());
    let values =
        vec![key(account), Value::Bytes(Some(&stage.0)), Value::Bytes(Some(after)), Value::Number(Some(limit.into()))];
    let rows = link.run(Call::new(sql::STAGED_TEXTS, values)).await?;
    on_primary(&rows)?;
    let text = |row| {
        let Some((id, mark)) = staged_marks(row, account)? else { return Ok(None) };
        let columns = Columns { row, table: "staged", partition: account.key() };
        let text = if mark == Mark::UNREADABLE { Bytes::new() } else { columns.some("text")?.into() };
        Ok(Some(StagedText { id, mark, text }))
    };
    rows.iter().filter_map(|row| text(row).transpose()).collect()
}

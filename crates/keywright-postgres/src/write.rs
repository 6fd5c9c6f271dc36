//! The writing side: a batch, a stage, as one call each.

use std::collections::BTreeMap;

use keywright_core::UnixSeconds;
use keywright_store::{Batch, CipherId, Mark, Partition, Put, Revision, Row, Rows, StageId, VaultWrite, Write};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::call::{Call, Value};
use crate::fault::{Fault, FaultKind};
use crate::link::Link;
use crate::statements as sql;

/// Runs a call that reports whether it has done anything.
pub(crate) async fn run(link: &mut Link<'_>, call: Call<'_>) -> Result<bool, Fault> {
    answer(&link.run(call).await?)
}

/// Runs a call that reports a number.
pub(crate) async fn count(link: &mut Link<'_>, call: Call<'_>) -> Result<u64, Fault> {
    let number: i64 = answer(&link.run(call).await?)?;
    u64::try_from(number).map_err(|_| Fault::lost(FaultKind::AlteredSchema))
}

fn answer<'r, T>(rows: &'r [PgRow]) -> Result<T, Fault>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    // What has another form is not the answer of our function, and nobody knows what was done.
    let row = rows.first().ok_or_else(|| Fault::lost(FaultKind::AlteredSchema))?;
    row.try_get(0).map_err(|_| Fault::lost(FaultKind::AlteredSchema))
}

/// Returns the call that applies a batch, or that holds its root in a host's transaction if it
/// writes nothing.
pub(crate) async fn apply(link: &mut Link<'_>, batch: &Batch) -> Result<bool, Fault> {
    let key = batch.partition().key().as_bytes();
    let expect = batch.expect().map(Revision::to_bytes);
    let expect = expect.as_ref().map(|revision| &revision[..]);
    let Some(write) = batch.write() else {
        return run(link, Call::new(sql::HOLD, vec![Value::Bytes(Some(key)), Value::Bytes(expect)])).await;
    };
    let revision = write.revision.to_bytes();
    let deleted: Vec<String> = write.delete.iter().map(|slot| slot.to_text()).collect();
    let slots: Vec<String> = write.put.iter().map(|put| put.slot.to_text()).collect();
    let mut values = vec![
        Value::Bytes(Some(key)),
        Value::Bytes(expect),
        Value::Bytes(Some(&revision)),
        Value::Bytes(Some(&write.root)),
        Value::Number(write.purge_after.map(seconds)),
        Value::Number(write.due_at.map(seconds)),
        Value::Flag(write.erase),
        Value::Blobs(deleted.iter().map(String::as_bytes).collect()),
        Value::Blobs(slots.iter().map(String::as_bytes).collect()),
        Value::Blobs(write.put.iter().map(|put| &put.body[..]).collect()),
        Value::Numbers(write.put.iter().map(|Put { purge_after, .. }| purge_after.map(seconds)).collect()),
    ];
    events(&mut values, write)?;
    vault(&mut values, write.vault.as_ref())?;
    run(link, Call::new(sql::APPLY, values)).await
}

fn events<'a>(values: &mut Vec<Value<'a>>, write: &'a Write) -> Result<(), Fault> {
    let numbers: Option<Vec<_>> = write.events.iter().map(|event| i64::try_from(event.number).ok().map(Some)).collect();
    values.extend([
        Value::Numbers(write.forget.iter().map(|(chain, _)| Some(chain.number().into())).collect()),
        Value::Numbers(write.forget.iter().map(|(_, below)| Some(at_most(*below))).collect()),
        Value::Numbers(write.events.iter().map(|event| Some(event.chain.number().into())).collect()),
        Value::Numbers(numbers.ok_or_else(|| Fault::new(FaultKind::UnknownForm))?),
        Value::Numbers(write.events.iter().map(|event| Some(seconds(event.at))).collect()),
        Value::Blobs(write.events.iter().map(|event| &event.json[..]).collect()),
        Value::Blobs(write.events.iter().map(|event| &event.prev[..]).collect()),
    ]);
    Ok(())
}

/// The part of the vault: its kind, the stage, ids to delete, and the columns of its rows.
fn vault<'a>(values: &mut Vec<Value<'a>>, write: Option<&'a VaultWrite>) -> Result<(), Fault> {
    let none = || Value::Blobs(Vec::new());
    match write {
        None => {
            values.extend([Value::Number(Some(0)), Value::Bytes(None), none()]);
            values.extend([none(), none(), none(), none(), none(), none()]);
        }
        Some(VaultWrite::Edit { put, delete }) => {
            let rows = sorted(put)?;
            let gone = Value::Blobs(delete.iter().map(|CipherId(id)| id.as_slice()).collect());
            values.extend([Value::Number(Some(1)), Value::Bytes(None), gone]);
            values.extend(texts(&rows, Some(&|row: &'a Row| &row.marks.note.0), Some(&|row: &'a Row| &row.note)));
        }
        Some(VaultWrite::Swap { rows }) => {
            let rows = sorted(rows)?;
            values.extend([Value::Number(Some(2)), Value::Bytes(None), none()]);
            values.extend(texts(&rows, None, None));
        }
        Some(VaultWrite::Promote { stage, rows }) => {
            let pairs: BTreeMap<&CipherId, &Mark> = rows.iter().map(|(id, mark)| (id, mark)).collect();
            if pairs.len() != rows.len() {
                return Err(Fault::new(FaultKind::DuplicateCipher));
            }
            values.extend([Value::Number(Some(3)), Value::Bytes(Some(&stage.0)), none()]);
            values.push(Value::Blobs(rows.iter().map(|(CipherId(id), _)| id.as_slice()).collect()));
            values.push(Value::Blobs(rows.iter().map(|(_, Mark(mark))| mark.as_slice()).collect()));
            values.extend([none(), none(), none(), none()]);
        }
    }
    Ok(())
}

type Column<'c, 'a> = Option<&'c dyn Fn(&'a Row) -> &'a [u8]>;

/// The columns of rows: ids, marks of the texts and of the notes, nonces, notes, texts.
fn texts<'a>(rows: &[&'a Row], note_mark: Column<'_, 'a>, note: Column<'_, 'a>) -> [Value<'a>; 6] {
    let column = |column: &dyn Fn(&'a Row) -> &'a [u8]| Value::Blobs(rows.iter().map(|row| column(row)).collect());
    [
        column(&|row| &row.marks.id.0),
        column(&|row| &row.marks.text.0),
        note_mark.map_or_else(|| Value::Blobs(Vec::new()), column),
        column(&|row| &row.marks.nonce.0),
        note.map_or_else(|| Value::Blobs(Vec::new()), column),
        column(&|row| &row.text),
    ]
}

pub(crate) async fn stage(
    link: &mut Link<'_>,
    account: &Partition,
    stage: StageId,
    rows: &Rows,
    purge_after: UnixSeconds,
) -> Result<bool, Fault> {
    let [ids, text_marks, _, nonces, _, texts] = texts(&sorted(rows)?, None, None);
    let (key, stage) = (account.key().as_bytes(), Value::Bytes(Some(&stage.0)));
    let values =
        vec![Value::Bytes(Some(key)), stage, Value::Number(Some(seconds(purge_after))), ids, text_marks, nonces, texts];
    run(link, Call::new(sql::STAGE, values)).await
}

pub(crate) async fn unstage(link: &mut Link<'_>, account: &Partition, stage: StageId) -> Result<bool, Fault> {
    let values = vec![Value::Bytes(Some(account.key().as_bytes())), Value::Bytes(Some(&stage.0))];
    run(link, Call::new(sql::UNSTAGE, values)).await
}

/// Returns the rows sorted by id, so that all writers touch them in the same order. They are
/// refused if one id is named twice.
fn sorted(rows: &Rows) -> Result<Vec<&Row>, Fault> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.id());
    if rows.windows(2).any(|pair| matches!(pair, [a, b] if a.id() == b.id())) {
        return Err(Fault::new(FaultKind::DuplicateCipher));
    }
    Ok(rows)
}

pub(crate) fn seconds(moment: UnixSeconds) -> i64 {
    at_most(moment.get())
}

/// Returns the number as one of PostgreSQL's. A moment always fits; a bound that does not fit is
/// beyond every row.
pub(crate) fn at_most(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

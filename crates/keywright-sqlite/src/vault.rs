//! The vault part of a batch (edits, swaps and promotions), and staging.

use keywright_core::UnixSeconds;
use keywright_store::{CipherId, Mark, Partition, Row, Rows, StageId, VaultWrite};
use rusqlite::{Connection, Statement, ToSql, params};

use crate::fault::{Fault, FaultKind};
use crate::read;
use crate::rows::{ApplyError, at_most, expect_rows};

/// A vault write whose conditions are met.
pub(crate) enum Plan<'a> {
    Edit { put: Vec<&'a Row>, delete: &'a [CipherId] },
    Swap { rows: Vec<&'a Row>, places: Vec<i64> },
    Promote { stage: StageId, places: Vec<i64> },
}

/// Checks a vault write, and writes nothing.
pub(crate) fn plan<'a>(
    connection: &Connection,
    partition: &Partition,
    write: &'a VaultWrite,
) -> Result<Plan<'a>, ApplyError> {
    match write {
        VaultWrite::Edit { put, delete } => Ok(Plan::Edit { put: sorted(put)?, delete }),
        VaultWrite::Swap { rows } => {
            let rows = sorted(rows)?;
            let places = owns(connection, partition, rows.iter().map(|row| row.marks.id))?;
            Ok(Plan::Swap { rows, places: places.ok_or(ApplyError::Conflict)? })
        }
        VaultWrite::Promote { stage, rows } => {
            // Exactly what was checked, and nothing that was staged since.
            if !stages(connection, partition, *stage, rows)? {
                return Err(ApplyError::Conflict);
            }
            let places = owns(connection, partition, rows.iter().map(|(id, _)| *id))?;
            Ok(Plan::Promote { stage: *stage, places: places.ok_or(ApplyError::Conflict)? })
        }
    }
}

impl Plan<'_> {
    /// Writes it. Every row of a swap is counted: exactly one each, or the transaction is rolled
    /// back.
    pub(crate) fn write(&self, connection: &Connection, partition: &Partition) -> Result<(), ApplyError> {
        match self {
            Self::Edit { put, delete } => edit(connection, partition, put, delete),
            Self::Swap { rows, places } => {
                let mut update = connection.prepare_cached(REPLACE)?;
                // Bound once, because the bindings are kept from row to row.
                update.raw_bind_parameter(1, partition.key())?;
                for (Row { marks, text, .. }, place) in rows.iter().zip(places) {
                    replace(&mut update, *place, &marks.id.0, [&marks.text.0, &marks.nonce.0, text])?;
                }
                expect_rows(places.len(), rows.len())
            }
            Self::Promote { stage, places } => {
                promote(connection, partition, *stage, places)?;
                drop_stage(connection, partition.key(), &stage.0)
            }
        }
    }
}

/// Promotes row by row. One `UPDATE … FROM` would first gather all rows, outside of the page cache.
fn promote(connection: &Connection, partition: &Partition, stage: StageId, places: &[i64]) -> Result<(), ApplyError> {
    let mut update = connection.prepare_cached(REPLACE)?;
    update.raw_bind_parameter(1, partition.key())?;
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, nonce, text FROM keywright_staged WHERE partition = ?1 AND stage = ?2 ORDER BY id",
    )?;
    let mut staged = select.query(params![partition.key(), stage.0])?;
    let mut changed = 0_usize;
    let mut places = places.iter();
    while let Some(row) = staged.next()? {
        let column = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_blob()?);
        let Some(place) = places.next() else { return expect_rows(changed.saturating_add(1), changed) };
        replace(&mut update, *place, column(0)?, [column(1)?, column(2)?, column(3)?])?;
        changed = changed.saturating_add(1);
    }
    expect_rows(changed, changed.saturating_add(places.len()))
}

/// Replaces the text of one row with its mark and nonce; its note is kept. The row is found by its
/// rowid, which the check before has read, because a second search of the index for each row took a
/// tenth of the write. The statement itself verifies that the row belongs to this account and id.
const REPLACE: &str = "UPDATE keywright_ciphers SET text_mark = ?3, nonce = ?4, text = ?5
     WHERE rowid = ?6 AND partition = ?1 AND id = ?2";

/// Runs [`REPLACE`] with its partition bound already. It must change exactly one row, or the
/// transaction is rolled back.
fn replace(
    update: &mut Statement<'_>,
    place: i64,
    id: &[u8],
    [text_mark, nonce, text]: [&[u8]; 3],
) -> Result<(), ApplyError> {
    update.raw_bind_parameter(2, id)?;
    update.raw_bind_parameter(3, text_mark)?;
    update.raw_bind_parameter(4, nonce)?;
    update.raw_bind_parameter(5, text)?;
    update.raw_bind_parameter(6, place)?;
    expect_rows(update.raw_execute()?, 1)
}

fn edit(connection: &Connection, partition: &Partition, put: &[&Row], delete: &[CipherId]) -> Result<(), ApplyError> {
    // Deletions come first, so an id in both lists is put.
    let mut gone = connection.prepare_cached("DELETE FROM keywright_ciphers WHERE partition = ?1 AND id = ?2")?;
    for id in delete {
        if gone.execute(params![partition.key(), id.0])? == 0 {
            delete_unknown_form(connection, partition, *id)?;
        }
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO keywright_ciphers (partition, id, text_mark, note_mark, nonce, note, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (partition, id) DO UPDATE SET text_mark = excluded.text_mark, note_mark = excluded.note_mark,
             nonce = excluded.nonce, note = excluded.note, text = excluded.text",
    )?;
    for Row { marks, text, note } in put {
        let (id, text_mark, note_mark, nonce) = (marks.id.0, marks.text.0, marks.note.0, marks.nonce.0);
        upsert.execute(params![partition.key(), id, text_mark, note_mark, nonce, &note[..], &text[..]])?;
    }
    Ok(())
}

/// Deletes a row whose id has an unknown form, and which a read represents by this one.
fn delete_unknown_form(connection: &Connection, partition: &Partition, id: CipherId) -> Result<(), ApplyError> {
    let mut select = connection.prepare_cached(
        "SELECT rowid, id FROM keywright_ciphers
         WHERE partition = ?1 AND (typeof(id) <> 'blob' OR length(id) <> 16)",
    )?;
    let mut rows = select.query([partition.key()])?;
    let mut gone: Vec<i64> = Vec::new();
    while let Some(row) = rows.next()? {
        if read::cipher_id(row.get_ref(1)?) == id {
            gone.push(row.get(0)?);
        }
    }
    for row in gone {
        connection.prepare_cached("DELETE FROM keywright_ciphers WHERE rowid = ?1")?.execute([row])?;
    }
    Ok(())
}

/// Drops all ciphers and stages, as an erase does. No batch swaps or promotes what it erases.
pub(crate) fn erase(connection: &Connection, partition: &str) -> Result<(), ApplyError> {
    for table in [
        "DELETE FROM keywright_ciphers WHERE partition = ?1",
        "DELETE FROM keywright_staged WHERE partition = ?1",
        "DELETE FROM keywright_stages WHERE partition = ?1",
    ] {
        connection.prepare_cached(table)?.execute([partition])?;
    }
    Ok(())
}

/// Keeps rows under a stage id, replacing those of the same id. It is a conflict if there is no
/// root.
pub(crate) fn stage(
    connection: &Connection,
    partition: &Partition,
    stage: StageId,
    rows: &Rows,
    purge_after: UnixSeconds,
) -> Result<(), ApplyError> {
    let rows = sorted(rows)?;
    let has_root: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM keywright_roots WHERE partition = ?1)")?
        .query_row([partition.key()], |row| row.get(0))?;
    if !has_root {
        return Err(ApplyError::Conflict);
    }
    connection
        .prepare_cached(
            "INSERT INTO keywright_stages (partition, stage, purge_after) VALUES (?1, ?2, ?3)
             ON CONFLICT (partition, stage) DO UPDATE SET purge_after = excluded.purge_after",
        )?
        .execute(params![partition.key(), stage.0, at_most(purge_after.get())])?;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO keywright_staged (partition, stage, id, text_mark, nonce, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (partition, stage, id) DO UPDATE SET text_mark = excluded.text_mark, nonce = excluded.nonce,
             text = excluded.text",
    )?;
    for Row { marks, text, .. } in rows {
        upsert.execute(params![partition.key(), stage.0, marks.id.0, marks.text.0, marks.nonce.0, &text[..]])?;
    }
    Ok(())
}

/// Drops a stage and its rows.
pub(crate) fn drop_stage(connection: &Connection, partition: &str, stage: &[u8; 16]) -> Result<(), ApplyError> {
    drop_staged(connection, &partition, stage)?;
    connection
        .prepare_cached("DELETE FROM keywright_stages WHERE partition = ?1 AND stage = ?2")?
        .execute(params![partition, stage])?;
    Ok(())
}

/// Drops the rows of a stage.
pub(crate) fn drop_staged(
    connection: &Connection,
    partition: &impl ToSql,
    stage: &impl ToSql,
) -> Result<(), ApplyError> {
    connection
        .prepare_cached("DELETE FROM keywright_staged WHERE partition = ?1 AND stage = ?2")?
        .execute(params![partition, stage])?;
    Ok(())
}

/// Returns the rows sorted by id, which is the order of the table. It is refused if one id is named
/// twice.
fn sorted(rows: &Rows) -> Result<Vec<&Row>, ApplyError> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.id());
    if rows.windows(2).any(|pair| matches!(pair, [a, b] if a.id() == b.id())) {
        return Err(ApplyError::Refused(Fault::new(FaultKind::DuplicateCipher)));
    }
    Ok(rows)
}

/// Returns the rowids of the account's ciphers, if they are exactly these, sorted.
fn owns(
    connection: &Connection,
    partition: &Partition,
    mut ids: impl ExactSizeIterator<Item = CipherId>,
) -> Result<Option<Vec<i64>>, ApplyError> {
    let mut select =
        connection.prepare_cached("SELECT id, rowid FROM keywright_ciphers WHERE partition = ?1 ORDER BY id")?;
    let mut owned = select.query([partition.key()])?;
    let mut places = Vec::with_capacity(ids.len());
    while let Some(row) = owned.next()? {
        // An id of an unknown form belongs to nobody.
        let id = row.get_ref(0)?.as_blob().ok();
        if ids.next().is_none_or(|CipherId(next)| Some(&next[..]) != id) {
            return Ok(None);
        }
        places.push(row.get(1)?);
    }
    Ok(if ids.next().is_none() { Some(places) } else { None })
}

/// Whether these, sorted, are exactly the rows of a stage.
fn stages(
    connection: &Connection,
    partition: &Partition,
    stage: StageId,
    rows: &[(CipherId, Mark)],
) -> Result<bool, ApplyError> {
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, typeof(text) = 'blob' AND typeof(nonce) = 'blob' AND length(nonce) = 16
         FROM keywright_staged WHERE partition = ?1 AND stage = ?2 ORDER BY id",
    )?;
    let mut staged = select.query(params![partition.key(), stage.0])?;
    let mut rows = rows.iter();
    while let Some(row) = staged.next()? {
        let column = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_blob().ok());
        let (id, mark, is_whole): (_, _, bool) = (column(0)?, column(1)?, row.get(2)?);
        let is = |bytes: &[u8; 16], column: Option<&[u8]>| column == Some(&bytes[..]);
        let is_next = |(CipherId(next), Mark(checked)): &(CipherId, Mark)| is(next, id) && is(checked, mark);
        // A row that nobody can have checked does not match.
        if !is_whole || rows.next().is_none_or(|next| !is_next(next)) {
            return Ok(false);
        }
    }
    Ok(rows.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_replaced_where_it_is_and_nowhere_else() {
        let settings =
            crate::connect::Settings { busy_timeout: std::time::Duration::ZERO, size_limit: None, adopt: false };
        let connection = crate::connect::memory(&settings).unwrap();
        let plan: String = connection
            .query_row(&format!("EXPLAIN QUERY PLAN {REPLACE}"), params![1, 2, 3, 4, 5, 6], |row| row.get(3))
            .unwrap();
        assert!(plan.contains("INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
        let insert = "INSERT INTO keywright_ciphers VALUES (?1, ?2, x'00', x'00', x'00', x'00', x'00')";
        for (partition, id) in [("a/one", [1_u8; 16]), ("a/two", [2; 16])] {
            connection.execute(insert, params![partition, id]).unwrap();
        }
        let mut update = connection.prepare(REPLACE).unwrap();
        update.raw_bind_parameter(1, "a/one").unwrap();
        let parts: [&[u8]; 3] = [&[7; 16], &[8; 16], b"text"];
        replace(&mut update, 1, &[1; 16], parts).unwrap();
        // The other account's row, another id in that row, and no row at all.
        for (place, id) in [(2, [2; 16]), (1, [2; 16]), (3, [1; 16])] {
            assert!(matches!(replace(&mut update, place, &id, parts), Err(ApplyError::Failed(_))), "{place}");
        }
    }
}

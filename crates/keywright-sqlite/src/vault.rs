//! The vault part of a batch: edits, swaps, promotions; and staging.

use keywright_core::UnixSeconds;
use keywright_store::{CipherId, Mark, Partition, Row, Rows, StageId, VaultWrite};
use rusqlite::{Connection, Statement, ToSql, params};

use crate::apply::{ApplyError, at_most, expect_rows};
use crate::fault::{Fault, FaultKind};
use crate::read;

/// A vault write whose conditions hold.
pub(crate) enum Plan<'a> {
    Edit { put: Vec<&'a Row>, delete: &'a [CipherId] },
    Swap { rows: Vec<&'a Row> },
    Promote { stage: StageId, rows: usize },
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
            if owns(connection, partition, rows.iter().map(|row| row.marks.id))? {
                Ok(Plan::Swap { rows })
            } else {
                Err(ApplyError::Conflict)
            }
        }
        VaultWrite::Promote { stage, rows } => {
            // What was checked, and nothing that came to the stage since.
            if stages(connection, partition, *stage, rows)?
                && owns(connection, partition, rows.iter().map(|(id, _)| *id))?
            {
                Ok(Plan::Promote { stage: *stage, rows: rows.len() })
            } else {
                Err(ApplyError::Conflict)
            }
        }
    }
}

impl Plan<'_> {
    /// Writes it. Every row of a swap is counted: exactly one each, or the transaction falls.
    pub(crate) fn write(&self, connection: &Connection, partition: &Partition) -> Result<(), ApplyError> {
        match self {
            Self::Edit { put, delete } => edit(connection, partition, put, delete),
            Self::Swap { rows } => {
                let mut update = connection.prepare_cached(REPLACE)?;
                // Bound once: the bindings stay from row to row.
                update.raw_bind_parameter(1, partition.key())?;
                for Row { marks, text, .. } in rows {
                    replace(&mut update, &marks.id.0, &marks.text.0, &marks.nonce.0, text)?;
                }
                Ok(())
            }
            Self::Promote { stage, rows } => {
                promote(connection, partition, *stage, *rows)?;
                drop_stage(connection, partition.key(), &stage.0)
            }
        }
    }
}

/// Row by row. One `UPDATE … FROM` would first gather all rows, outside of the page cache.
fn promote(connection: &Connection, partition: &Partition, stage: StageId, rows: usize) -> Result<(), ApplyError> {
    let mut update = connection.prepare_cached(REPLACE)?;
    update.raw_bind_parameter(1, partition.key())?;
    let mut select = connection.prepare_cached(
        "SELECT id, text_mark, nonce, text FROM keywright_staged WHERE partition = ?1 AND stage = ?2 ORDER BY id",
    )?;
    let mut staged = select.query(params![partition.key(), stage.0])?;
    let mut changed = 0_usize;
    while let Some(row) = staged.next()? {
        let column = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_blob()?);
        replace(&mut update, column(0)?, column(1)?, column(2)?, column(3)?)?;
        changed = changed.saturating_add(1);
    }
    expect_rows(changed, rows)
}

/// Replaces the text of one row with its mark and nonce; its note stays.
const REPLACE: &str =
    "UPDATE keywright_ciphers SET text_mark = ?3, nonce = ?4, text = ?5 WHERE partition = ?1 AND id = ?2";

/// Runs [`REPLACE`] with its partition bound already. Exactly one row, or the transaction falls.
fn replace(
    update: &mut Statement<'_>,
    id: &[u8],
    text_mark: &[u8],
    nonce: &[u8],
    text: &[u8],
) -> Result<(), ApplyError> {
    update.raw_bind_parameter(2, id)?;
    update.raw_bind_parameter(3, text_mark)?;
    update.raw_bind_parameter(4, nonce)?;
    update.raw_bind_parameter(5, text)?;
    expect_rows(update.raw_execute()?, 1)
}

fn edit(connection: &Connection, partition: &Partition, put: &[&Row], delete: &[CipherId]) -> Result<(), ApplyError> {
    // Deletions first: an id in both lists is put.
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

/// Deletes a row whose id has an unknown form, and which a read tells by this one.
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

/// Drops what an erase drops: all ciphers and stages. No batch swaps or promotes what it erases.
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

/// Keeps rows under a stage id, replacing those of the same id; a conflict where there is no root.
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

/// The rows by id, which is the order of the table; refused if one id is named twice.
fn sorted(rows: &Rows) -> Result<Vec<&Row>, ApplyError> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.id());
    if rows.windows(2).any(|pair| matches!(pair, [a, b] if a.id() == b.id())) {
        return Err(ApplyError::Refused(Fault::new(FaultKind::DuplicateCipher)));
    }
    Ok(rows)
}

/// Whether these, sorted, are exactly the account's ciphers.
fn owns(
    connection: &Connection,
    partition: &Partition,
    mut ids: impl Iterator<Item = CipherId>,
) -> Result<bool, ApplyError> {
    let mut select = connection.prepare_cached("SELECT id FROM keywright_ciphers WHERE partition = ?1 ORDER BY id")?;
    let mut owned = select.query([partition.key()])?;
    while let Some(row) = owned.next()? {
        // An id of an unknown form is nobody's.
        let id = row.get_ref(0)?.as_blob().ok();
        if ids.next().is_none_or(|CipherId(next)| Some(&next[..]) != id) {
            return Ok(false);
        }
    }
    Ok(ids.next().is_none())
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
        // What nobody can have checked is not what was checked.
        if !is_whole || rows.next().is_none_or(|next| !is_next(next)) {
            return Ok(false);
        }
    }
    Ok(rows.next().is_none())
}

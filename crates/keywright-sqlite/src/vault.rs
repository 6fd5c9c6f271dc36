//! The vault part of a batch: edits, swaps, promotions; and staging.

use keywright_core::UnixSeconds;
use keywright_store::{CipherId, Partition, Row, Rows, StageId, VaultWrite};
use rusqlite::{Connection, Statement, params};

use crate::apply::{ApplyError, expect_rows, number};
use crate::fault::{Fault, FaultKind};

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
            if owns(connection, partition, rows.iter().map(|row| &row.id.0))? {
                Ok(Plan::Swap { rows })
            } else {
                Err(ApplyError::Conflict)
            }
        }
        VaultWrite::Promote { stage } => {
            let staged = staged(connection, partition, *stage)?;
            if owns(connection, partition, staged.iter())? {
                Ok(Plan::Promote { stage: *stage, rows: staged.len() })
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
                for row in rows {
                    replace(&mut update, &row.id.0, &row.mark.0, &row.body)?;
                }
                Ok(())
            }
            Self::Promote { stage, rows } => {
                // Row by row. One `UPDATE … FROM` would first gather all rows, outside of the page cache.
                let mut changed = 0_usize;
                {
                    let mut update = connection.prepare_cached(REPLACE)?;
                    update.raw_bind_parameter(1, partition.key())?;
                    let mut select = connection.prepare_cached(
                        "SELECT id, mark, body FROM keywright_staged WHERE partition = ?1 AND stage = ?2 ORDER BY id",
                    )?;
                    let mut staged = select.query(params![partition.key(), stage.0])?;
                    while let Some(row) = staged.next()? {
                        let column = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_blob()?);
                        replace(&mut update, column(0)?, column(1)?, column(2)?)?;
                        changed = changed.saturating_add(1);
                    }
                }
                expect_rows(changed, *rows)?;
                drop_stage(connection, partition.key(), &stage.0)
            }
        }
    }
}

/// Replaces the mark and the body of one row; its note stays.
const REPLACE: &str = "UPDATE keywright_ciphers SET mark = ?3, body = ?4 WHERE partition = ?1 AND id = ?2";

/// Runs [`REPLACE`] with its partition bound already. Exactly one row, or the transaction falls.
fn replace(update: &mut Statement<'_>, id: &[u8], mark: &[u8], body: &[u8]) -> Result<(), ApplyError> {
    update.raw_bind_parameter(2, id)?;
    update.raw_bind_parameter(3, mark)?;
    update.raw_bind_parameter(4, body)?;
    expect_rows(update.raw_execute()?, 1)
}

fn edit(connection: &Connection, partition: &Partition, put: &[&Row], delete: &[CipherId]) -> Result<(), ApplyError> {
    // Deletions first: an id in both lists is put.
    let mut gone = connection.prepare_cached("DELETE FROM keywright_ciphers WHERE partition = ?1 AND id = ?2")?;
    for id in delete {
        gone.execute(params![partition.key(), id.0])?;
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO keywright_ciphers (partition, id, mark, meta, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (partition, id) DO UPDATE SET mark = excluded.mark, meta = excluded.meta, body = excluded.body",
    )?;
    for row in put {
        upsert.execute(params![partition.key(), row.id.0, row.mark.0, &row.meta[..], &row.body[..]])?;
    }
    Ok(())
}

/// Drops what an erase drops: all ciphers and stages. No batch swaps or promotes what it erases.
pub(crate) fn erase(connection: &Connection, partition: &Partition) -> Result<(), ApplyError> {
    for table in [
        "DELETE FROM keywright_ciphers WHERE partition = ?1",
        "DELETE FROM keywright_staged WHERE partition = ?1",
        "DELETE FROM keywright_stages WHERE partition = ?1",
    ] {
        connection.prepare_cached(table)?.execute([partition.key()])?;
    }
    Ok(())
}

/// Keeps rows under a stage id, replacing those of the same id.
pub(crate) fn stage(
    connection: &Connection,
    partition: &Partition,
    stage: StageId,
    rows: &Rows,
    purge_after: UnixSeconds,
) -> Result<(), ApplyError> {
    let rows = sorted(rows)?;
    connection
        .prepare_cached(
            "INSERT INTO keywright_stages (partition, stage, purge_after) VALUES (?1, ?2, ?3)
             ON CONFLICT (partition, stage) DO UPDATE SET purge_after = excluded.purge_after",
        )?
        .execute(params![partition.key(), stage.0, number(purge_after.get())])?;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO keywright_staged (partition, stage, id, mark, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (partition, stage, id) DO UPDATE SET mark = excluded.mark, body = excluded.body",
    )?;
    for row in rows {
        upsert.execute(params![partition.key(), stage.0, row.id.0, row.mark.0, &row.body[..]])?;
    }
    Ok(())
}

/// Drops a stage and its rows.
pub(crate) fn drop_stage(connection: &Connection, partition: &str, stage: &[u8]) -> Result<(), ApplyError> {
    for table in [
        "DELETE FROM keywright_staged WHERE partition = ?1 AND stage = ?2",
        "DELETE FROM keywright_stages WHERE partition = ?1 AND stage = ?2",
    ] {
        connection.prepare_cached(table)?.execute(params![partition, stage])?;
    }
    Ok(())
}

/// The rows by id, which is the order of the table; refused if one id is named twice.
fn sorted(rows: &Rows) -> Result<Vec<&Row>, ApplyError> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.id);
    if rows.windows(2).any(|pair| matches!(pair, [a, b] if a.id == b.id)) {
        return Err(ApplyError::Refused(Fault::new(FaultKind::DuplicateCipher)));
    }
    Ok(rows)
}

/// Whether these, sorted, are exactly the account's ciphers.
fn owns<'i>(
    connection: &Connection,
    partition: &Partition,
    mut ids: impl Iterator<Item = &'i [u8; 16]>,
) -> Result<bool, ApplyError> {
    let mut select = connection.prepare_cached("SELECT id FROM keywright_ciphers WHERE partition = ?1 ORDER BY id")?;
    let mut owned = select.query([partition.key()])?;
    while let Some(row) = owned.next()? {
        if ids.next().map(<[u8; 16]>::as_slice) != Some(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?) {
            return Ok(false);
        }
    }
    Ok(ids.next().is_none())
}

fn staged(connection: &Connection, partition: &Partition, stage: StageId) -> Result<Vec<[u8; 16]>, ApplyError> {
    let mut select =
        connection.prepare_cached("SELECT id FROM keywright_staged WHERE partition = ?1 AND stage = ?2 ORDER BY id")?;
    let ids = select.query_map(params![partition.key(), stage.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids)
}

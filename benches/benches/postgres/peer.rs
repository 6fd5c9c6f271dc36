//! What an application does by itself, in place of a swap.

use std::time::{Duration, Instant};

use keywright_postgres::sqlx::{self, Connection, Row as _};
use keywright_store::Row;

use crate::Failure;
use crate::site::{CIPHERS, Site, row};

/// An `UPDATE` for each row, in one transaction. If it loads and saves, it reads each row first, and
/// writes back all of its columns.
pub(crate) fn row_by_row(site: &mut Site, loads: bool) -> Result<Duration, Failure> {
    site.turn = site.turn.wrapping_add(1);
    let (turn, key) = (site.turn, site.key()?);
    let peer = &mut site.peer;
    site.runtime.block_on(async {
        let started = Instant::now();
        let mut transaction = peer.begin().await?;
        for number in 0..CIPHERS {
            let Row { marks, text, .. } = row(number, turn);
            let (mut note_mark, mut note) = (marks.note.0.to_vec(), Vec::<u8>::new());
            if loads {
                let select = sqlx::query("SELECT * FROM peer WHERE partition = $1 AND id = $2");
                let found = select.bind(&key).bind(marks.id.0).fetch_one(&mut *transaction).await?;
                (note_mark, note) = (found.try_get("note_mark")?, found.try_get("note")?);
            }
            let update = if loads {
                let all = "UPDATE peer SET text_mark = $3, nonce = $4, text = $5, note_mark = $6, note = $7
                    WHERE partition = $1 AND id = $2";
                sqlx::query(all)
            } else {
                sqlx::query("UPDATE peer SET text_mark = $3, nonce = $4, text = $5 WHERE partition = $1 AND id = $2")
            };
            let mut update = update.bind(&key).bind(marks.id.0).bind(marks.text.0).bind(marks.nonce.0).bind(&text[..]);
            if loads {
                update = update.bind(note_mark).bind(note);
            }
            let done = update.execute(&mut *transaction).await?;
            if done.rows_affected() != 1 {
                return Err("a row of the peer's is not there".into());
            }
        }
        transaction.commit().await?;
        Ok(started.elapsed())
    })
}

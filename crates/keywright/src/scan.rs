//! The pass over all accounts that have due work, and its way past a place at which the list of
//! accounts cannot be read.
//!
//! A damaged page of the store ends a pass over all partitions, and the next pass at the same
//! place: the accounts behind it would never be visited. What is at the place cannot be listed, so
//! its end is searched for by cursors that name no account.

use std::sync::PoisonError;

use keywright_core::AccountId;
use keywright_store::{LoadError, Partition, TransactError, due};

use crate::housekeeping::{Cursor, DueScan, Housekeeping, HousekeepingError};
use crate::measure;

/// The range of characters that are tried in a cursor. The ids of the reference server and UUIDs
/// are between them.
const TRIED: std::ops::RangeInclusive<u8> = b'!'..=b'~';

/// A page of partitions that was read around damage.
struct Around {
    page: Vec<Partition>,
    /// Where to continue; `None` at the end of the accounts.
    next: Option<Cursor>,
    /// Whether a place was left out.
    damaged: bool,
}

impl Housekeeping {
    /// Reads `limit` partitions from `after` on, and returns the accounts among them that have due
    /// work according to their **sealed roots**. It does not depend on the index of due work, in
    /// which a clock that ran ahead may have postponed work by years, or which somebody may have
    /// changed. It opens the root of every account, with one small read for each.
    ///
    /// Accounts that cannot be read do not end the pass: they are reported, and it goes on behind
    /// them.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if the store could not be read. Continue from the same cursor
    /// then.
    pub async fn scan_due(&self, after: Option<Cursor>, limit: u32) -> Result<DueScan, HousekeepingError> {
        let work = async {
            let is_first = after.is_none();
            let Around { page, next, damaged } = self.page_around(after, limit).await?;
            let mut scan = DueScan { accounts: Vec::new(), unreadable: Vec::new(), damaged, next };
            for partition in page {
                let Some(account) = partition.as_account() else { continue };
                match self.driver.named("housekeeping").observe(&partition, &[], |draft| Ok(due::due_at(draft))).await {
                    Ok(Some(_)) => scan.accounts.push(account),
                    Ok(None) => {}
                    Err(TransactError::Step(error)) if error.is_damage() => scan.unreadable.push(account),
                    Err(TransactError::Load(LoadError::Corrupt(_))) => scan.unreadable.push(account),
                    Err(error) => return Err(error.into()),
                }
            }
            let oldest = measure::oldest_due(&self.driver, &scan.accounts).await;
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.oldest_due.add(&self.driver, oldest, is_first, scan.next.is_none());
            drop(pace);
            Ok(scan)
        };
        self.measured("scan_due", work).await
    }

    /// Reads one page of the list, and leaves out a place that cannot be read. A place is left out
    /// only as far as the list of accounts goes; behind it there is nothing that a pass over
    /// accounts needs.
    async fn page_around(&self, after: Option<Cursor>, limit: u32) -> Result<Around, HousekeepingError> {
        match self.page(after.clone(), limit).await {
            Ok((page, next)) => return Ok(Around { page, next, damaged: false }),
            Err(error) if is_damaged(&error) => {}
            Err(error) => return Err(error),
        }
        // One by one up to the damage.
        let (mut page, mut place) = (Vec::new(), after);
        while u32::try_from(page.len()).is_ok_and(|found| found < limit) {
            match self.page(place.clone(), 1).await {
                Ok((found, Some(next))) => {
                    page.extend(found);
                    place = Some(next);
                }
                Ok((found, None)) => {
                    page.extend(found);
                    return Ok(Around { page, next: None, damaged: false });
                }
                Err(error) if is_damaged(&error) => {
                    tracing::error!("part of the list of accounts cannot be read; housekeeping leaves it out");
                    let next = self.past(place.as_ref()).await?;
                    return Ok(Around { page, next, damaged: true });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Around { page, next: place, damaged: false })
    }

    /// Searches for the nearest cursor behind `place` from which the list can be read: first one
    /// that leaves out little, and more each time. Returns `None` if there is none.
    async fn past(&self, place: Option<&Cursor>) -> Result<Option<Cursor>, HousekeepingError> {
        let label = match place {
            None => String::new(),
            Some(Cursor(partition)) => match partition.as_account() {
                Some(account) => account.as_str().to_owned(),
                // Accounts come first.
                None => return Ok(None),
            },
        };
        let characters: Vec<char> = label.chars().collect();
        for kept in (0..=characters.len()).rev() {
            let prefix: String = characters.iter().take(kept).collect();
            if self.reads_from(&prefix, *TRIED.end()).await?.is_none() {
                continue;
            }
            // The damage ends among the accounts with this prefix.
            for next in TRIED {
                let is_behind = characters.get(kept).is_none_or(|at| char::from(next) > *at);
                if is_behind && let Some(cursor) = self.reads_from(&prefix, next).await? {
                    return Ok(Some(cursor));
                }
            }
        }
        Ok(None)
    }

    /// Returns the cursor behind a prefix and one more character, if the list can be read from it.
    async fn reads_from(&self, prefix: &str, next: u8) -> Result<Option<Cursor>, HousekeepingError> {
        let Ok(account) = AccountId::new(format!("{prefix}{}", char::from(next))) else { return Ok(None) };
        let cursor = Cursor(Partition::account(&account));
        match self.page(Some(cursor.clone()), 1).await {
            Ok(_) => Ok(Some(cursor)),
            Err(error) if is_damaged(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

const fn is_damaged(error: &HousekeepingError) -> bool {
    matches!(error, HousekeepingError::Load(LoadError::Corrupt(_)))
}

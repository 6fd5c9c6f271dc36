//! How a flaw changes a batch before the batch is applied.

use bytes::Bytes;
use keywright_core::AccountId;
use keywright_store::{Batch, Partition, Revision, Row, StoredEvent, VaultWrite, Write};

use super::commits::{forced, make_room, other, remade};
use super::{Flaw, SabotagedStore};
use crate::glass::rows::Rows;

pub(super) fn flipped(revision: Revision) -> Revision {
    Revision::from_bytes(revision.to_bytes().map(|byte| !byte))
}

pub(super) fn folded(partition: &Partition) -> Partition {
    let lower = |account: AccountId| AccountId::new(account.as_str().to_lowercase()).ok();
    partition.as_account().and_then(lower).map_or_else(|| partition.clone(), |account| Partition::account(&account))
}

pub(super) fn up_to_nul(body: &Bytes) -> Bytes {
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    body.slice(..end)
}

impl SabotagedStore {
    /// The batch as this store treats it, or `None` if the store ignores it.
    pub(super) fn twist(&self, rows: &mut Rows, batch: Batch) -> Option<Batch> {
        let batch = if self.flaw == Flaw::FoldsCase {
            let (partition, expect, write) = batch.into_parts();
            remade(folded(&partition), expect, write)
        } else {
            batch
        };
        if self.overlooks_the_guard(rows, &batch) {
            return self.twist_write(rows, forced(rows, batch));
        }
        if self.flaw == Flaw::ShowsOtherRevisions {
            let (partition, expect, write) = batch.into_parts();
            return Some(remade(partition, expect.map(flipped), write));
        }
        self.twist_write(rows, batch)
    }

    /// Whether this store treats a guard as satisfied, whatever the root is.
    fn overlooks_the_guard(&self, rows: &Rows, batch: &Batch) -> bool {
        let (partition, expect) = (batch.partition(), batch.expect());
        let root = rows.roots.get(partition);
        let notes = self.notes();
        let Some(write) = batch.write() else {
            return match self.flaw {
                Flaw::NeverChecks => true,
                Flaw::ComparesBodies => same_body(&notes, root, expect),
                _ => false,
            };
        };
        match self.flaw {
            Flaw::IgnoresTheGuard => true,
            Flaw::AbsentMeansAny => expect.is_none(),
            Flaw::ComparesBodies => same_body(&notes, root, expect),
            Flaw::SwapsUnguarded => root.is_some() && matches!(write.vault, Some(VaultWrite::Swap { .. })),
            Flaw::FencesDoNotCount => {
                let version = |revision| notes.versions.get(&revision).copied();
                let present = root.map(|root| root.stored.revision);
                matches!((expect, present), (Some(expect), Some(present)) if version(expect) == version(present))
            }
            Flaw::RemembersSweptRoots => {
                root.is_none() && expect.is_some() && expect == notes.last.get(partition).copied()
            }
            Flaw::ComparesWrittenRows | Flaw::OverlooksInserts => {
                let Some(log) = notes.log.get(partition) else { return false };
                let Some(from) = log.iter().position(|logged| Some(logged.revision) == expect) else { return false };
                let own = |slot| write.put.iter().any(|put| put.slot == slot) || write.delete.contains(&slot);
                let clashes = |(slot, was_there): &(_, bool)| match self.flaw {
                    Flaw::OverlooksInserts => *was_there,
                    _ => own(*slot),
                };
                root.is_some()
                    && !log.iter().skip(from.saturating_add(1)).any(|logged| logged.wrote.iter().any(clashes))
            }
            _ => false,
        }
    }

    fn twist_write(&self, rows: &mut Rows, batch: Batch) -> Option<Batch> {
        let (partition, expect, write) = batch.into_parts();
        let holds = rows.revision(&partition) == expect;
        let Some(mut write) = write else { return Some(remade(partition, expect, None)) };
        let count = self.notes().commits;
        match self.flaw {
            Flaw::AcknowledgesUnwritten if holds && count % 5 == 4 => {
                self.notes().commits = count.saturating_add(1);
                return None;
            }
            Flaw::LosesEvents if count % 7 == 6 => write.events.clear(),
            Flaw::IgnoresDeletes => write.delete.clear(),
            Flaw::InsertsOnly => write.put.retain(|put| !rows.records.contains_key(&(partition.clone(), put.slot))),
            Flaw::ErasesItsOwnPuts if write.erase => write.put.clear(),
            Flaw::ReplacesEvents if holds => make_room(rows, &partition, &write),
            Flaw::ForgetsBothChains => {
                let others: Vec<_> = write.forget.iter().map(|(chain, first)| (other(*chain), *first)).collect();
                write.forget.extend(others);
            }
            Flaw::ReformatsEvents => write.events.iter_mut().for_each(reformat),
            Flaw::DueOnce => {
                if let Some(root) = rows.roots.get(&partition) {
                    write.due_at = root.due_at;
                }
            }
            Flaw::KeepsThePartitionsExpiry => {
                let old = rows.roots.get(&partition).and_then(|root| root.purge_after);
                write.purge_after = write.purge_after.or(old);
            }
            Flaw::KeepsTheFirstExpiry => {
                for put in &mut write.put {
                    if let Some(row) = rows.records.get(&(partition.clone(), put.slot)) {
                        put.purge_after = row.purge_after;
                    }
                }
            }
            Flaw::CutsAtNul => spoil_bodies(&mut write, up_to_nul),
            Flaw::BodiesAreText => spoil_bodies(&mut write, |body| String::from_utf8_lossy(body).into_owned().into()),
            _ => {
                if let Some(vault) = write.vault.take() {
                    write.vault = Some(self.twist_vault(rows, &partition, vault));
                }
            }
        }
        Some(remade(partition, expect, Some(write)))
    }

    fn twist_vault(&self, rows: &mut Rows, partition: &Partition, vault: VaultWrite) -> VaultWrite {
        let owned: Vec<Row> = rows.vault(partition).cloned().collect();
        let named = |put: &[Row], row: &Row| put.iter().any(|put| put.id() == row.id());
        match (self.flaw, vault) {
            (Flaw::EditsReplaceTheVault, VaultWrite::Edit { put, mut delete }) => {
                delete.extend(owned.iter().filter(|row| !named(&put, row)).map(Row::id));
                VaultWrite::Edit { put, delete }
            }
            (Flaw::TextsEndAtNul, VaultWrite::Edit { mut put, delete }) => {
                put.iter_mut().for_each(|row| row.text = up_to_nul(&row.text));
                VaultWrite::Edit { put, delete }
            }
            (Flaw::SwapsLetRowsStand, VaultWrite::Swap { rows: put }) => VaultWrite::Edit { put, delete: Vec::new() },
            (Flaw::SwapsTakeNotes, VaultWrite::Swap { rows: put })
                if put.len() == owned.len() && owned.iter().all(|row| named(&put, row)) =>
            {
                VaultWrite::Edit { put, delete: Vec::new() }
            }
            (Flaw::PromotesWhateverLiesThere, VaultWrite::Promote { stage, rows: checked }) => {
                // Any existing stage will do.
                let staged = rows.staged(partition, stage);
                VaultWrite::Promote { stage, rows: if staged.is_empty() { checked } else { staged } }
            }
            (Flaw::PromotesUncovered, VaultWrite::Promote { stage, rows: checked }) => {
                match rows.stages.get(&(partition.clone(), stage)) {
                    Some(staged) if rows.staged(partition, stage) == checked => {
                        VaultWrite::Edit { put: staged.rows.values().cloned().collect(), delete: Vec::new() }
                    }
                    _ => VaultWrite::Promote { stage, rows: checked },
                }
            }
            (_, vault) => vault,
        }
    }
}

fn same_body(notes: &super::Notes, root: Option<&crate::glass::rows::RootRow>, expect: Option<Revision>) -> bool {
    let Some((root, expect)) = root.zip(expect) else { return false };
    notes.bodies.get(&expect) == Some(&root.stored.body)
}

fn spoil_bodies(write: &mut Write, spoil: impl Fn(&Bytes) -> Bytes) {
    write.root = spoil(&write.root);
    write.put.iter_mut().for_each(|put| put.body = spoil(&put.body));
}

/// Reformats as a column of JSON values does: blanks are removed.
fn reformat(event: &mut StoredEvent) {
    event.json = event.json.iter().copied().filter(|byte| *byte != b' ').collect();
}

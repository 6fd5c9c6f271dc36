//! Horizon, sweeps, listings.

use keywright_core::UnixSeconds;
use keywright_store::{BoxFuture, CommitError, LoadError, Partition, SlotName, StoredSlots, Upkeep};

use super::reads::ITS_CLOCK;
use super::{Flaw, SabotagedStore};

impl SabotagedStore {
    fn move_horizon_flawed(&self, now: UnixSeconds) -> UnixSeconds {
        let mut rows = self.rows();
        let moved = match self.flaw {
            Flaw::HorizonJumps => now,
            Flaw::HorizonStaysAhead => {
                let stands = rows.horizon;
                rows.move_horizon(now).max(stands.unwrap_or(UnixSeconds::EPOCH))
            }
            Flaw::HorizonStartsNow if rows.horizon.is_none() => now,
            _ => return rows.move_horizon(now),
        };
        rows.horizon = Some(moved);
        moved
    }

    async fn sweep_flawed(&self, limit: u32) -> u64 {
        match self.flaw {
            Flaw::SweepsByClock => self.rows().sweep_before(ITS_CLOCK, limit),
            Flaw::SweepsUnlimited => self.rows().sweep(u32::MAX),
            Flaw::SweepsInSteps => self.sweep_in_steps().await,
            Flaw::SweepsWhatLasts => {
                let mut rows = self.rows();
                if rows.horizon.is_some() {
                    rows.records.retain(|_, row| row.purge_after.is_some());
                }
                rows.sweep(limit)
            }
            Flaw::SweepsRootsAlone | Flaw::SweepsLeaveTheVault => self.sweep_in_part(limit),
            _ => self.rows().sweep(limit),
        }
    }

    /// `SELECT` what is due, then `DELETE` it by its key.
    async fn sweep_in_steps(&self) -> u64 {
        let chosen: Vec<_> = {
            let rows = self.rows();
            let Some(horizon) = rows.horizon else { return 0 };
            let due = rows.records.iter().filter(|(_, row)| row.purge_after.is_some_and(|at| at < horizon));
            due.map(|(key, _)| key.clone()).collect()
        };
        self.wait_for_a_commit().await;
        let mut rows = self.rows();
        let dropped = chosen.iter().filter(|key| rows.records.remove(*key).is_some()).count();
        u64::try_from(dropped).unwrap_or(u64::MAX)
    }

    fn sweep_in_part(&self, limit: u32) -> u64 {
        let mut rows = self.rows();
        let before = rows.clone();
        let dropped = rows.sweep(limit);
        let gone: Vec<Partition> =
            before.roots.keys().filter(|partition| !rows.roots.contains_key(*partition)).cloned().collect();
        if self.flaw == Flaw::SweepsRootsAlone {
            rows.records.extend(before.records.into_iter().filter(|((owner, _), _)| gone.contains(owner)));
        } else {
            rows.ciphers.extend(before.ciphers.into_iter().filter(|((owner, _), _)| gone.contains(owner)));
        }
        dropped
    }

    fn forget_flawed(&self, age: u64, limit: u32) -> u64 {
        let mut rows = self.rows();
        let Some(horizon) = rows.horizon else { return 0 };
        let cutoff = horizon.minus(age);
        let mut gone = Vec::new();
        for ((partition, chain), numbers) in rows.chains() {
            let old = numbers.iter().filter(|(_, at)| *at < cutoff).map(|(number, _)| *number);
            let newest = numbers.last().map_or(0, |(number, _)| *number);
            let chosen: Vec<_> = match self.flaw {
                Flaw::ForgetsOutOfTheMiddle => old.filter(|number| *number != newest).collect(),
                Flaw::ForgetsTheNewest => old.collect(),
                Flaw::ForgetsTheNewEnd => {
                    numbers.iter().rev().take_while(|(_, at)| *at < cutoff).map(|(number, _)| *number).collect()
                }
                _ => return rows.forget_events(age, limit),
            };
            gone.extend(chosen.into_iter().map(|number| (partition.clone(), chain, number)));
        }
        gone.truncate(limit as usize);
        for key in &gone {
            rows.events.remove(key);
        }
        u64::try_from(gone.len()).unwrap_or(u64::MAX)
    }

    fn due_flawed(&self, before: UnixSeconds, limit: u32) -> Vec<Partition> {
        let rows = self.rows();
        match self.flaw {
            Flaw::DueUnsorted => {
                let due = rows.roots.iter().filter(|(_, root)| root.due_at.is_some_and(|at| at <= before));
                due.map(|(partition, _)| partition.clone()).take(limit as usize).collect()
            }
            Flaw::DueMisses => rows.due(before.minus(1), limit),
            _ => rows.due(before, limit),
        }
    }

    fn partitions_flawed(&self, after: Option<&Partition>, limit: u32) -> Vec<Partition> {
        let rows = self.rows();
        if self.flaw != Flaw::ListsByCollation {
            return rows.page_partitions(after, limit);
        }
        let collated = |partition: &Partition| (partition.key().to_lowercase(), partition.key().to_owned());
        let mut all: Vec<&Partition> = rows.partitions().into_iter().collect();
        all.sort_by_key(|partition| collated(partition));
        let rest = all.into_iter().filter(|partition| after.is_none_or(|after| collated(partition) > collated(after)));
        rest.take(limit as usize).cloned().collect()
    }
}

impl SabotagedStore {
    async fn slots_flawed(&self, partition: &Partition, after: Option<SlotName>, limit: u32) -> StoredSlots {
        let place = self.place(partition);
        let mut page = self.rows().page_slots(&place, after, limit);
        match self.flaw {
            Flaw::ListsSingleSlots => page.slots.retain(|slot| slot.id().is_none()),
            Flaw::ListsSlotsInSteps => {
                self.wait_for_a_commit().await;
                page.root = self.rows().revision(&place);
            }
            _ => {}
        }
        page
    }
}

impl Upkeep for SabotagedStore {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        Box::pin(async move { Ok(self.rows().horizon) })
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        Box::pin(async move { Ok(self.move_horizon_flawed(now)) })
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move { Ok(self.sweep_flawed(limit).await) })
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move { Ok(self.forget_flawed(age, limit)) })
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move { Ok(self.due_flawed(before, limit)) })
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move { Ok(self.partitions_flawed(after.as_ref(), limit)) })
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        Box::pin(async move { Ok(self.slots_flawed(partition, after, limit).await) })
    }
}

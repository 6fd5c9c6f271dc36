//! Upkeep: the horizon, and the sweep of expired rows and of whole partitions.

use crate::attempt::Phase;
use crate::bugs::Bug;
use crate::coverage::Event;
use crate::promise::Promise;
use crate::search::Search;
use crate::store::{Rev, SLOTS, Store};
use crate::world::{Ledger, World};

impl World {
    /// A round of upkeep by a clock that is `ahead` days ahead. The horizon moves forward by a day
    /// at most, or back with the clock. Then what lies before it is judged and deleted in one step.
    pub(crate) fn sweep(&mut self, search: &Search, ahead: u8) -> bool {
        let moved = self.move_horizon(search, ahead);
        let swept = self.delete(search, self.expired());
        self.sweep_partition(search, self.partition_expired()) || swept || moved
    }

    /// A seeded fault: the first of two statements only chooses what to delete.
    pub(crate) fn choose(&mut self, search: &Search) -> bool {
        let moved = self.move_horizon(search, search.config.upkeep_ahead);
        let chosen = (self.expired(), self.partition_expired());
        std::mem::replace(&mut self.chosen, chosen) != chosen || moved
    }

    /// A seeded fault: the second of two statements deletes what the first chose.
    pub(crate) fn delete_chosen(&mut self, search: &Search) -> bool {
        let (records, partition) = std::mem::take(&mut self.chosen);
        self.delete(search, records);
        self.sweep_partition(search, partition);
        (records, partition) != ([false; SLOTS], false)
    }

    fn move_horizon(&mut self, search: &Search, ahead: u8) -> bool {
        let before = self.horizon;
        self.horizon = (self.now + ahead).min(before + 1);
        if self.horizon > before {
            self.moves_since_absence = (self.moves_since_absence + 1).min(2);
        }
        if !search.config.late_news {
            self.drivers.iter_mut().for_each(|driver| driver.hear(self.horizon));
        }
        self.horizon != before
    }

    fn expired(&self) -> [bool; SLOTS] {
        self.store
            .rows
            .map(|row| row.and_then(|row| row.purge_after).is_some_and(|purge_after| purge_after < self.horizon))
    }

    fn partition_expired(&self) -> bool {
        self.store.purge_after.is_some_and(|purge_after| purge_after < self.horizon)
    }

    fn delete(&mut self, search: &Search, chosen: [bool; SLOTS]) -> bool {
        let before = self.store.rows;
        for (row, chosen) in self.store.rows.iter_mut().zip(chosen) {
            if chosen {
                *row = None;
            }
        }
        let deleted = self.store.rows != before;
        if deleted {
            search.coverage.met(Event::Swept);
        }
        deleted
    }

    /// Sweeps the whole partition: one with a blank root, or an account that was never verified.
    fn sweep_partition(&mut self, search: &Search, chosen: bool) -> bool {
        let Some(root) = self.store.root.filter(|_| chosen) else { return false };
        // A driver settles within seconds, so no driver that started on an absent root is still
        // settling.
        let settling = self.drivers.iter().any(|driver| {
            matches!(driver.phase, Phase::Settling { loaded: Rev::ZERO, .. } | Phase::Fencing { loaded: Rev::ZERO, .. })
        });
        let under_way = self.may_be_under_way(search);
        if settling && !under_way {
            return false;
        }
        if !under_way {
            self.held.retain(|held| held.batch.expect != Rev::ZERO);
        }
        search.coverage.met(Event::SweptWhole);
        let too_early = |expires| self.now < expires && search.config.upkeep_ahead == 0;
        if !root.is_blank() && self.ledger.expires.is_none_or(too_early) {
            self.broke(Promise::AcknowledgedStays);
        }
        self.store = Store::default();
        self.ledger = Ledger::default();
        self.grants = 0;
        self.moves_since_absence = 0;
        for driver in &mut self.drivers {
            driver.passed = search.config.beyond();
        }
        true
    }

    /// Whether a statement may still be in flight that was sent before the root was put where there
    /// was none. No statement lives longer than a minute, and the horizon moves forward by a day at
    /// most, and not again within an hour. So after two moves there is none.
    pub(crate) fn may_be_under_way(&self, search: &Search) -> bool {
        self.moves_since_absence < 2 || search.config.bug == Some(Bug::StatementOutlivesSweep)
    }
}

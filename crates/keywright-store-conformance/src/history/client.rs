//! The clients: what they do, and how it is recorded.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use keywright_core::EventChain;
use keywright_store::{
    Batch, CipherId, CommitError, Mark, Newest, Revision, Row, Rows, SlotName, StageId, VaultWrite, Which, Write,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::model::{Staged, State};
use super::plan::Plan;
use super::record::{Act, Answer, Clock, History, Operation, Partial};
use crate::backend::Handles;
use crate::random::SplitMix;
use crate::site::{LONG_AGO, Site, draw, event_at, pause, put, put_until, row, slot, together};
use crate::violation::Violation;

/// How many slots the clients share in each partition.
const SLOTS: u8 = 4;

/// What a client last saw of a partition.
#[derive(Clone, Copy, Default)]
struct View {
    root: Option<Revision>,
    newest: Newest,
}

struct Client {
    number: usize,
    sites: Vec<Site>,
    views: Vec<View>,
    /// The ciphers that the client last saw in each partition's vault.
    ciphers: Vec<Vec<CipherId>>,
    /// Roots that the client saw earlier. A batch that comes too late expects one of them.
    older: Vec<Option<Revision>>,
    rng: SplitMix,
    clock: Clock,
    notes: mpsc::UnboundedSender<(usize, Operation)>,
    /// What all clients have staged.
    staged: Arc<Mutex<Staged>>,
    /// Commits whose replies nobody waits for.
    adrift: JoinSet<()>,
}

/// Runs the clients, and returns what happened.
pub(super) async fn record(handles: &Handles, plan: Plan) -> Result<History, Violation> {
    let partitions = plan.partitions.max(1);
    let sites: Vec<Site> = (0..partitions).map(|_| Site::bare(handles)).collect::<Result<_, _>>()?;
    let clock = Clock::default();
    let (notes, mut noted) = mpsc::unbounded_channel();
    let staged = Arc::<Mutex<Staged>>::default();
    let client = |number: usize| Client {
        number,
        sites: sites.clone(),
        views: vec![View::default(); partitions],
        ciphers: vec![Vec::new(); partitions],
        older: vec![None],
        rng: SplitMix::new(plan.seed ^ (u64::try_from(number).unwrap_or(0).wrapping_add(1) << 32)),
        clock: Arc::clone(&clock),
        notes: notes.clone(),
        staged: Arc::clone(&staged),
        adrift: JoinSet::new(),
    };
    together(plan.clients.max(1), |number| client(number).work(plan.operations)).await?;
    client(plan.clients).settle().await?;
    drop(notes);
    let staged = Arc::new(staged.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let start = State { staged, ..State::default() };
    let mut history = History { partitions: vec![Partial { start, operations: Vec::new() }; partitions] };
    while let Some((partition, operation)) = noted.recv().await {
        if let Some(partial) = history.partitions.get_mut(partition) {
            partial.operations.push(operation);
        }
    }
    Ok(history)
}

impl Client {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    async fn work(mut self, operations: usize) -> Result<(), Violation> {
        for _ in 0..operations {
            let turns = self.rng.below(4);
            pause(turns).await;
            let partition = self.rng.below(self.sites.len());
            let handle = if self.rng.happens(800) { self.number } else { self.rng.below(2) };
            match self.rng.per_mille() {
                0..270 => self.load(partition, handle).await?,
                270..330 => self.page(partition, handle).await?,
                330..400 => self.vault(partition, handle).await?,
                400..480 => self.check(partition, handle).await?,
                480..520 => self.sweep(partition, handle).await?,
                _ => self.commit(partition, handle).await?,
            }
        }
        while self.adrift.join_next().await.is_some() {}
        Ok(())
    }

    /// At the end: writes a fence, and reads everything through both handles.
    async fn settle(mut self) -> Result<(), Violation> {
        for partition in 0..self.sites.len() {
            let mut landed = false;
            while !landed {
                self.load(partition, 0).await?;
                let before = self.view(partition).root;
                let write = Write::root(draw()?, "fence".into());
                self.write(partition, 1, before, write).await?;
                landed = self.view(partition).root != before;
            }
            for handle in [0, 1] {
                self.load(partition, handle).await?;
                self.page(partition, handle).await?;
                self.vault(partition, handle).await?;
            }
        }
        Ok(())
    }

    fn view(&self, partition: usize) -> View {
        self.views.get(partition).copied().unwrap_or_default()
    }

    fn see(&mut self, partition: usize, view: View) {
        if let Some(seen) = self.views.get_mut(partition) {
            self.older.push(seen.root);
            *seen = view;
        }
    }

    fn site(&self, partition: usize) -> Result<Site, Violation> {
        self.sites.get(partition).cloned().ok_or_else(|| Violation::suite("a partition that is not there"))
    }

    fn note(&self, partition: usize, handle: usize, asked: u64, answered: Option<u64>, act: Act) {
        let operation = Operation { client: self.number, handle: handle % 2, asked, answered, act };
        // Nobody receives this only if the history has failed already.
        let _ = self.notes.send((partition, operation));
    }

    async fn load(&mut self, partition: usize, handle: usize) -> Result<(), Violation> {
        let slots: Arc<[SlotName]> = (0..SLOTS).filter(|_| self.rng.happens(700)).map(slot).collect();
        let site = self.site(partition)?;
        let asked = self.tick();
        let seen = site.handles.records(handle).load(&site.account, &slots).await?;
        let answered = self.tick();
        self.see(partition, View { root: seen.root.as_ref().map(|root| root.revision), newest: seen.newest });
        self.note(partition, handle, asked, Some(answered), Act::Load { slots, seen });
        Ok(())
    }

    async fn page(&mut self, partition: usize, handle: usize) -> Result<(), Violation> {
        let chain = if self.rng.happens(500) { EventChain::Changes } else { EventChain::Denials };
        let site = self.site(partition)?;
        let asked = self.tick();
        let seen = site.handles.records(handle).events(&site.account, chain, None, u32::MAX).await?;
        let answered = self.tick();
        self.note(partition, handle, asked, Some(answered), Act::Page { chain, seen });
        Ok(())
    }

    /// Reads the vault, or its marks.
    async fn vault(&mut self, partition: usize, handle: usize) -> Result<(), Violation> {
        let site = self.site(partition)?;
        let Some(vault) = site.handles.vault(handle) else { return Ok(()) };
        let marks = self.rng.happens(500);
        let asked = self.tick();
        let (act, ids) = if marks {
            let seen = vault.manifest(&site.account).await?;
            let ids = seen.rows.iter().map(|marks| marks.id).collect();
            (Act::Manifest { seen }, ids)
        } else {
            let seen = vault.read(&site.account, Which::All).await?;
            let ids = seen.rows.iter().map(|row| row.marks.id).collect();
            (Act::Rows { seen }, ids)
        };
        let answered = self.tick();
        if let Some(seen) = self.ciphers.get_mut(partition) {
            *seen = ids;
        }
        self.note(partition, handle, asked, Some(answered), act);
        Ok(())
    }

    /// A round of upkeep. The horizon of a history stays at one moment, so that what is due is
    /// always due.
    async fn sweep(&mut self, partition: usize, handle: usize) -> Result<(), Violation> {
        let site = self.site(partition)?;
        let upkeep = site.handles.upkeep(handle);
        upkeep.move_horizon(LONG_AGO).await.map_err(Violation::Commit)?;
        let limit = if self.rng.happens(500) { u32::MAX } else { 1 };
        upkeep.sweep(limit).await.map_err(Violation::Commit)?;
        Ok(())
    }

    /// The root that a batch expects, usually the last one that was seen.
    fn rest(&mut self, partition: usize) -> Option<Revision> {
        match self.rng.per_mille() {
            0..100 => {
                let at = self.rng.below(self.older.len());
                self.older.get(at).copied().flatten()
            }
            _ => self.view(partition).root,
        }
    }

    async fn check(&mut self, partition: usize, handle: usize) -> Result<(), Violation> {
        let expect = self.rest(partition);
        let site = self.site(partition)?;
        let asked = self.tick();
        let answer = answer(site.handles.records(handle).commit(Batch::check(site.account.clone(), expect)).await);
        let answered = self.tick();
        self.note(partition, handle, asked, Some(answered), Act::Check { expect, answer });
        Ok(())
    }

    async fn commit(&mut self, partition: usize, handle: usize) -> Result<(), Violation> {
        if self.view(partition).root.is_none() && self.rng.happens(500) {
            self.load(partition, handle).await?;
        }
        let mut expect = self.rest(partition);
        let mut write = self.draw_write(partition)?;
        if let Some(VaultWrite::Swap { rows }) = &write.vault
            && self.rng.happens(600)
        {
            write.vault = self.stage(partition, handle, rows.clone()).await?;
            // Staging takes a while, so a client that promotes usually reads the root once more.
            if self.rng.happens(700) {
                self.load(partition, handle).await?;
                expect = self.rest(partition);
            }
        }
        match self.rng.per_mille() {
            0..80 => self.lose(partition, handle, expect, write),
            80..130 => self.drop_halfway(partition, handle, expect, write),
            _ => self.write(partition, handle, expect, write).await,
        }
    }

    /// Stages rows in one or two parts, and returns their promotion. Sometimes the stage is due for
    /// a sweep, or a part arrives late, with another text.
    async fn stage(&mut self, partition: usize, handle: usize, rows: Rows) -> Result<Option<VaultWrite>, Violation> {
        let site = self.site(partition)?;
        let Some(vault) = site.handles.vault(handle).map(Arc::clone) else { return Ok(None) };
        let [number, place] = [self.rng.next(), self.rng.next()].map(u64::to_be_bytes);
        let mut stage = StageId([0; 16]);
        stage.0.iter_mut().zip(number.into_iter().chain(place)).for_each(|(to, from)| *to = from);
        // Under another mark, because one mark always belongs to one text.
        let late = rows.first().filter(|_| self.rng.happens(300)).map(|Row { marks, .. }| {
            let (CipherId([id, ..]), Mark([mark, ..])) = (marks.id, marks.text);
            row(id, !mark, "late")
        });
        if let Ok(mut staged) = self.staged.lock() {
            staged.extend(rows.iter().chain(&late).map(|row| ((stage, row.id(), row.marks.text), row.text.clone())));
        }
        let mut checked: Vec<(CipherId, Mark)> = rows.iter().map(|row| (row.id(), row.marks.text)).collect();
        checked.sort_unstable();
        let purge_after = if self.rng.happens(100) { LONG_AGO.minus(1) } else { LONG_AGO.plus(1) };
        let half = self.rng.below(rows.len().saturating_add(1));
        let (first, second) = rows.split_at(half);
        for part in [second, first].into_iter().filter(|part| !part.is_empty()) {
            match vault.stage(&site.account, stage, part.to_vec(), purge_after).await {
                // The account was swept or never created, so there is nothing to promote over
                // either.
                Err(CommitError::Conflict) => return Ok(None),
                result => result.map_err(Violation::Commit)?,
            }
        }
        if let Some(late) = late {
            let delay = self.rng.below(6);
            self.adrift.spawn(async move {
                pause(delay).await;
                // The reply is ignored, whatever it is.
                let _ = vault.stage(&site.account, stage, vec![late], purge_after).await;
            });
        }
        Ok(Some(VaultWrite::Promote { stage, rows: checked }))
    }

    /// Draws a batch with some of everything.
    fn draw_write(&mut self, partition: usize) -> Result<Write, Violation> {
        let revision = draw()?;
        let newest = self.view(partition).newest;
        let body = self.rng.next().to_be_bytes().to_vec();
        let mut write = Write::root(revision, body.clone().into());
        for id in 0..SLOTS {
            match self.rng.per_mille() {
                0..260 => write.put.push(put(slot(id), body.clone())),
                260..350 => write.put.push(put_until(slot(id), body.clone(), LONG_AGO.minus(1))),
                350..400 => write.put.push(put_until(slot(id), body.clone(), LONG_AGO.plus(1))),
                400..550 => write.delete.push(slot(id)),
                _ => {}
            }
        }
        write.erase = self.rng.happens(80);
        for chain in EventChain::ALL {
            if self.rng.happens(250) {
                let number = newest.of(chain).saturating_add(1);
                write.events.push(event_at(chain, number, LONG_AGO.plus(number)));
            }
            // Only the old end is forgotten, and the newest event stays.
            if self.rng.happens(100) && newest.of(chain) > 0 {
                let back = u64::try_from(self.rng.below(3)).unwrap_or(0);
                write.forget.push((chain, newest.of(chain).saturating_sub(back)));
            }
        }
        if self.sites.get(partition).is_some_and(|site| site.handles.vault(0).is_some()) && self.rng.happens(350) {
            write.vault = Some(self.draw_vault(partition, write.erase));
        }
        Ok(write)
    }

    /// A change of the vault: an edit, or a swap of what was seen there last.
    fn draw_vault(&mut self, partition: usize, erase: bool) -> VaultWrite {
        let mut text = || self.rng.next().to_be_bytes();
        let mut made = |id: u8| {
            let text = text();
            let mut row = row(id, text[0], text.to_vec());
            // The rows carry notes of their own; a swap must keep the existing ones instead.
            row.marks.note = Mark([text[1]; 16]);
            row.note = text.to_vec().into();
            row
        };
        let seen = self.ciphers.get(partition).cloned().unwrap_or_default();
        if !erase && !seen.is_empty() && made(0).marks.text.0[0] < 100 {
            let rows = seen.into_iter().map(|CipherId([id, ..])| made(id)).collect();
            return VaultWrite::Swap { rows };
        }
        let (mut put, mut delete) = (Vec::new(), Vec::new());
        for id in 0..SLOTS {
            let row = made(id);
            match row.marks.text.0[0] {
                0..110 => put.push(row),
                110..150 => delete.push(row.marks.id),
                _ => {}
            }
        }
        VaultWrite::Edit { put, delete }
    }

    /// Commits, and waits for the reply.
    async fn write(
        &mut self,
        partition: usize,
        handle: usize,
        expect: Option<Revision>,
        write: Write,
    ) -> Result<(), Violation> {
        let site = self.site(partition)?;
        let batch = site.batch(expect, write.clone())?;
        let asked = self.tick();
        let answer = answer(site.handles.records(handle).commit(batch).await);
        let answered = self.tick();
        if answer == Answer::Yes {
            let mut newest = self.view(partition).newest;
            for event in &write.events {
                match event.chain {
                    EventChain::Changes => newest.changes = event.number,
                    EventChain::Denials => newest.denials = event.number,
                }
            }
            self.see(partition, View { root: Some(write.revision), newest });
            self.know(partition, &write);
        }
        let answered = (answer != Answer::Unknown).then_some(answered);
        self.note(partition, handle, asked, answered, Act::Commit { expect, write: Arc::new(write), answer });
        Ok(())
    }

    /// Remembers which ciphers exist after a batch of the client's own.
    fn know(&mut self, partition: usize, write: &Write) {
        let Some(known) = self.ciphers.get_mut(partition) else { return };
        if write.erase {
            known.clear();
        }
        if let Some(VaultWrite::Edit { put, delete }) = &write.vault {
            known.retain(|id| !delete.contains(id));
            known.extend(put.iter().map(Row::id));
            known.sort_unstable();
            known.dedup();
        }
    }

    /// Commits, and continues without waiting. The reply is lost, and the commit is applied at any
    /// time, or never.
    fn lose(
        &mut self,
        partition: usize,
        handle: usize,
        expect: Option<Revision>,
        write: Write,
    ) -> Result<(), Violation> {
        let site = self.site(partition)?;
        let batch = site.batch(expect, write.clone())?;
        let delay = self.rng.below(12);
        let asked = self.tick();
        self.adrift.spawn(async move {
            pause(delay).await;
            // The reply is ignored, whatever it is.
            let _ = site.handles.records(handle).commit(batch).await;
        });
        self.note(
            partition,
            handle,
            asked,
            None,
            Act::Commit { expect, write: Arc::new(write), answer: Answer::Unknown },
        );
        Ok(())
    }

    /// Commits, and drops the future after a few polls.
    fn drop_halfway(
        &mut self,
        partition: usize,
        handle: usize,
        expect: Option<Revision>,
        write: Write,
    ) -> Result<(), Violation> {
        let site = self.site(partition)?;
        let batch = site.batch(expect, write.clone())?;
        let polls = self.rng.below(4);
        let asked = self.tick();
        {
            let mut commit = site.handles.records(handle).commit(batch);
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if commit.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
        }
        self.note(
            partition,
            handle,
            asked,
            None,
            Act::Commit { expect, write: Arc::new(write), answer: Answer::Unknown },
        );
        Ok(())
    }
}

fn answer(result: Result<(), CommitError>) -> Answer {
    match result {
        Ok(()) => Answer::Yes,
        Err(CommitError::Conflict) => Answer::Conflict,
        Err(CommitError::Unknown(_)) => Answer::Unknown,
        // An error that this checker does not know is treated as a rejection, so the batch must
        // have had no effect.
        Err(_) => Answer::Rejected,
    }
}

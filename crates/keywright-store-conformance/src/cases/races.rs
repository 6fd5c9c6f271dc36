//! Races between tasks, threads and handles, and between batches that each depend on what the other
//! writes.

use std::sync::{Arc, Barrier};

use keywright_store::Revision;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::backend::Handles;
use crate::site::{Site, next, put, puts, slot, together};
use crate::violation::{Violation, holds};

const RACERS: usize = 32;

/// One racer's attempt at a grant: the racer that moves the root from `old` has it. Returns the
/// revision if it won.
async fn grab(site: Site, racer: usize, old: Option<Revision>) -> Result<Option<Revision>, Violation> {
    let body = racer.to_be_bytes().to_vec();
    site.contend(racer, old, || puts(vec![put(slot(1), body.clone())])).await
}

async fn judge(site: &Site, wins: &[Option<Revision>]) -> Result<Option<Revision>, Violation> {
    let won: Vec<Revision> = wins.iter().flatten().copied().collect();
    holds!(won.len() == 1, OneWinner, "{} of {} racers won", won.len(), wins.len());
    let seen = site.root().await?;
    holds!(seen == won.first().copied(), OneWinner, "the root is not the winner's");
    Ok(seen)
}

/// 32 tasks on two handles race for one root, 20 times. Exactly one wins each time.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn one_of_32_tasks_wins(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let mut old = Some(root);
    for _ in 0..20 {
        let wins = together(RACERS, |racer| grab(site.clone(), racer, old)).await?;
        // The next round races for the winner's revision.
        old = judge(&site, &wins).await?;
    }
    Ok(())
}

/// 32 threads of the operating system on two handles race for one root, 5 times.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn one_of_32_threads_wins(store: Handles) -> Result<(), Violation> {
    for _ in 0..5 {
        let (site, root) = Site::made(&store).await?;
        let start = Arc::new(Barrier::new(RACERS));
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for racer in 0..RACERS {
            let (runtime, start, sender, site) = (Handle::current(), Arc::clone(&start), sender.clone(), site.clone());
            let race = move || {
                start.wait();
                // A closed channel means that the case has ended with an error already.
                let _ = sender.send(runtime.block_on(grab(site, racer, Some(root))));
            };
            std::thread::Builder::new().spawn(race).map_err(Violation::suite)?;
        }
        drop(sender);
        let mut wins = Vec::new();
        while let Some(result) = receiver.recv().await {
            wins.push(result?);
        }
        judge(&site, &wins).await?;
    }
    Ok(())
}

/// 32 tasks on two handles race to make one partition's first root, 10 times. Exactly one makes it.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn one_of_32_makes_the_root(store: Handles) -> Result<(), Violation> {
    for _ in 0..10 {
        let site = Site::bare(&store)?;
        let wins = together(RACERS, |racer| grab(site.clone(), racer, None)).await?;
        judge(&site, &wins).await?;
    }
    Ok(())
}

/// Two tasks, each alone on its handle, race for one root, 100 times. A guard that holds only
/// within one process would let both win.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn one_of_two_handles_wins(store: Handles) -> Result<(), Violation> {
    for round in 0..100 {
        let (site, root) = if round % 2 == 0 { (Site::bare(&store)?, None) } else { made(&store).await? };
        let wins = together(2, |racer| grab(site.clone(), racer, root)).await?;
        judge(&site, &wins).await?;
    }
    Ok(())
}

async fn made(store: &Handles) -> Result<(Site, Option<Revision>), Violation> {
    Site::made(store).await.map(|(site, root)| (site, Some(root)))
}

/// Two grants that exclude each other: each requires that the other's record is unspent, and spends
/// its own. Over 100 rounds, both are never applied.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn write_skew_on_presences_is_impossible(store: Handles) -> Result<(), Violation> {
    skew(&store, true).await
}

/// Two grants that exclude each other: each requires that the other's record is absent, and creates
/// its own. Over 100 rounds, both are never applied.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn write_skew_on_absences_is_impossible(store: Handles) -> Result<(), Violation> {
    skew(&store, false).await
}

async fn skew(store: &Handles, presences: bool) -> Result<(), Violation> {
    for _ in 0..100 {
        let (site, root) = Site::made(store).await?;
        if presences {
            site.land(Some(root), puts(vec![put(slot(0), "unspent"), put(slot(1), "unspent")])?).await?;
        }
        let wins = together(2, |number| exclude(site.clone(), number)).await?;
        let won = wins.iter().filter(|won| **won).count();
        holds!(won == 1, OneWinner, "{won} of two batches that exclude each other landed");
        let seen = site.load(&[slot(0), slot(1)]).await?;
        let spent = seen.records.iter().flatten().filter(|body| ***body == *b"spent").count();
        holds!(spent == 1, OneWinner, "{spent} records are spent where one excludes the other");
    }
    Ok(())
}

/// Loads both records, and spends its own if the other is not spent. Starts again after a conflict.
async fn exclude(site: Site, number: usize) -> Result<bool, Violation> {
    let (mine, other) = if number == 0 { (slot(0), slot(1)) } else { (slot(1), slot(0)) };
    loop {
        let seen = site.load_through(number, &[other]).await?;
        if seen.records.iter().flatten().any(|body| **body == *b"spent") {
            return Ok(false);
        }
        tokio::task::yield_now().await;
        let Some(root) = seen.root else { return Err(Violation::suite("the root went away")) };
        // It touches no row that the other batch touches, except the root.
        let write = keywright_store::Write { put: vec![put(mine, "spent")], ..next()? };
        if site.commit_through(number, site.batch(Some(root.revision), write)?).await? {
            return Ok(true);
        }
    }
}

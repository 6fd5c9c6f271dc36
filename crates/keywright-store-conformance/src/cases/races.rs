//! Races: tasks, threads, and batches that rest on each other's absence.

use std::sync::{Arc, Barrier};

use keywright_store::{Expect, Revision, Slot};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::site::{Site, at, check, host, put, together};
use crate::violation::holds;
use crate::{Backend, Violation};

const RACERS: u8 = 32;

/// One racer's try at a grant: a record at `old` that is spent by one put. Gives the revision of a win.
async fn grab(site: Site, root: Revision, old: Revision) -> Result<Option<Revision>, Violation> {
    site.contend(host(1), Some(old), || site.beside(root, vec![put(host(1), at(old), "spent")])).await
}

async fn judge(site: &Site, wins: &[Option<Revision>]) -> Result<(), Violation> {
    let wins: Vec<Revision> = wins.iter().flatten().copied().collect();
    holds!(wins.len() == 1, OneWinner, "{} of {RACERS} racers won", wins.len());
    let seen = site.revision(host(1)).await?;
    holds!(seen == wins.first().copied(), OneWinner, "the winner's record is not the one that lies there");
    Ok(())
}

/// 32 tasks race for one grant, 20 times. Exactly one wins each time.
///
/// # Errors
/// What was broken.
pub async fn one_of_32_tasks_wins(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let mut old = site.write(root, vec![put(host(1), Expect::Absent, "grant")]).await?;
    for _ in 0..20 {
        let wins = together(RACERS, |_| grab(site.clone(), root, old)).await?;
        judge(&site, &wins).await?;
        // The winner's revision is what the next round races for.
        old = wins.into_iter().flatten().next().unwrap_or(old);
    }
    Ok(())
}

/// 32 threads of the operating system race for one grant, 5 times.
///
/// # Errors
/// What was broken.
pub async fn one_of_32_threads_wins(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for _ in 0..5 {
        let (site, root) = Site::made(&store).await?;
        let old = site.write(root, vec![put(host(1), Expect::Absent, "grant")]).await?;
        let start = Arc::new(Barrier::new(usize::from(RACERS)));
        let (tell, mut told) = mpsc::unbounded_channel();
        for _ in 0..RACERS {
            let (runtime, start, tell, site) = (Handle::current(), Arc::clone(&start), tell.clone(), site.clone());
            let race = move || {
                start.wait();
                // A closed channel means that the case has ended with an error already.
                let _ = tell.send(runtime.block_on(grab(site, root, old)));
            };
            std::thread::Builder::new().spawn(race).map_err(Violation::suite)?;
        }
        drop(tell);
        let mut wins = Vec::new();
        while let Some(result) = told.recv().await {
            wins.push(result?);
        }
        judge(&site, &wins).await?;
    }
    Ok(())
}

/// Two batches, each of which rests on the absence of what the other makes: exactly one lands, 100 times. Neither
/// touches a row that the other locks, except the root.
///
/// # Errors
/// What was broken.
pub async fn one_of_two_mutual_absences_wins(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for _ in 0..100 {
        let (site, root) = Site::made(&store).await?;
        let wins = together(2, |number| {
            let site = site.clone();
            let (mine, other) = if number == 0 { (host(1), host(2)) } else { (host(2), host(1)) };
            async move {
                let batch = || site.beside(root, vec![check(other, Expect::Absent), put(mine, Expect::Absent, "a")]);
                site.contend(other, None, batch).await
            }
        })
        .await?;
        let won = wins.iter().flatten().count();
        holds!(won == 1, OneWinner, "{won} of two batches that exclude each other landed");
        let there = site.load(&[host(1), host(2)]).await?.iter().flatten().count();
        holds!(there == 1, OneWinner, "{there} records lie where one excludes the other");
    }
    Ok(())
}

/// 32 tasks race to make one account. Exactly one makes it.
///
/// # Errors
/// What was broken.
pub async fn one_of_32_makes_the_root(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for _ in 0..5 {
        let site = Site::bare(&store)?;
        let wins =
            together(RACERS, |_| {
                let site = site.clone();
                async move {
                    site.contend(Slot::Root, None, || site.batch(vec![put(Slot::Root, Expect::Absent, "root")])).await
                }
            })
            .await?;
        let wins: Vec<Revision> = wins.into_iter().flatten().collect();
        holds!(wins.len() == 1, OneWinner, "{} of {RACERS} made the same root", wins.len());
        let seen = site.revision(Slot::Root).await?;
        holds!(seen == wins.first().copied(), OneWinner, "the root is not the winner's");
    }
    Ok(())
}

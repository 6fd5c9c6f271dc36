//! The open connections: how many there may be, how long they may be silent, and which one is closed
//! when a new client needs its place.
//!
//! A new client is preferred to one that has sent nothing: at a ceiling, the connection that has been
//! silent the longest is closed. One on which a request was answered to a login is closed last, so
//! clients that open connections and send nothing displace each other, and not the users.
//!
//! A request runs to its end even if its client is gone. Until then it counts as one of its
//! connection's requests, and a connection that is gone keeps its place while any of its requests
//! run: who resets streams, or connects anew for each request, starts no more work than others.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::caller::caller;

/// Connections that are being closed still have descriptors. There are at most this many of them.
pub(crate) const CLOSING: usize = 64;
/// The most requests at once on one connection, those included whose client has reset their stream.
pub(crate) const STREAMS: u32 = 32;
/// How often connections are looked at that may have been silent for too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The slowest that an answer may be read, in bytes a second.
const SLOWEST_READER: u64 = 64 * 1024;

/// What connections are held to.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionLimits {
    /// The most connections.
    pub(crate) total: usize,
    /// The most connections of one network, except of `unlimited` ones.
    pub(crate) per_network: usize,
    /// How long a connection may wait for the head of a request.
    pub(crate) silent: Duration,
    /// Proxies, whose connections are those of many clients.
    pub(crate) unlimited: Vec<ipnet::IpNet>,
}

/// All open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: ConnectionLimits,
    table: Mutex<Table>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// Also those that are being closed, and those that are gone while their requests run.
    entries: HashMap<u64, Entry>,
    /// How many have a descriptor.
    sockets: usize,
    /// How many have a place.
    live: usize,
    /// Those that can be closed for a new one, the first to be closed first.
    closable: BTreeSet<(Rank, u64)>,
    /// The networks that have any place.
    networks: HashMap<IpAddr, OfNetwork>,
}

/// The connections of one network.
#[derive(Debug, Default)]
struct OfNetwork {
    live: usize,
    closable: BTreeSet<(Rank, u64)>,
}

/// What is known of a connection.
#[derive(Debug)]
struct Entry {
    network: IpAddr,
    cut: CancellationToken,
    /// Whether it has a descriptor.
    is_open: bool,
    /// Requests whose head has arrived, and that are not answered.
    requests: usize,
    /// Requests that run, whether or not anybody waits for the answer.
    running: usize,
    /// Those whose bodies are still arriving.
    receiving: usize,
    /// Whether a login was accepted on it.
    known: bool,
    /// Since when it has been in this state.
    since: Instant,
    /// Without a request, when it is closed.
    until: Instant,
    /// The rank by which the table lists it.
    listed: Option<Rank>,
}

/// How soon a connection is closed for a new one: the least first.
type Rank = (bool, bool, Instant);

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default(), freed: Notify::new() })
    }

    /// Returns a place for a new connection, for which another one may be closed, or `None` if all
    /// others are at work.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = caller(address);
        let limited = !self.limits.unlimited.iter().any(|proxies| proxies.contains(&address.to_canonical()));
        let mut table = self.table();
        let of_network = table.networks.get(&network);
        if limited && of_network.is_some_and(|of_network| of_network.live >= self.limits.per_network) {
            let first = of_network.and_then(|of_network| of_network.closable.first().copied());
            table.close(first?.1);
        }
        if table.live >= self.limits.total {
            let first = table.closable.first().copied();
            table.close(first?.1);
        }
        let cut = CancellationToken::new();
        let number = table.add(network, cut.clone(), self.limits.silent);
        drop(table);
        // A trusted proxy carries the requests of many clients, which must not wait for one of them.
        let requests = if limited { usize::try_from(STREAMS).unwrap_or(usize::MAX) } else { Semaphore::MAX_PERMITS };
        let requests = Arc::new(Semaphore::new(requests));
        Some(Place(Arc::new(Connection { number, cut, requests, connections: Arc::clone(self) })))
    }

    /// Waits until another connection may have a descriptor.
    pub(crate) async fn a_descriptor(&self) {
        loop {
            let freed = self.freed.notified();
            if self.table().sockets < self.limits.total.saturating_add(CLOSING) {
                return;
            }
            let _waited = timeout(LOOK_EVERY, freed).await;
        }
    }

    /// Returns how long a connection may wait for the head of a request.
    pub(crate) fn silent(&self) -> Duration {
        self.limits.silent
    }

    /// Returns how many connections there are, without those that are being closed.
    pub(crate) fn count(&self) -> usize {
        self.table().entries.values().filter(|entry| entry.is_open && !entry.cut.is_cancelled()).count()
    }

    /// Closes connections that have been silent for too long. Never ends.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let mut table = self.table();
            let overdue = table.entries.iter().filter(|(_, entry)| entry.is_overdue(now));
            for number in overdue.map(|(number, _)| *number).collect::<Vec<_>>() {
                table.close(number);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while the lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, network: IpAddr, cut: CancellationToken, silent: Duration) -> u64 {
        let now = Instant::now();
        let number = self.next;
        self.next = number.wrapping_add(1);
        let entry = Entry {
            network,
            cut,
            is_open: true,
            requests: 0,
            running: 0,
            receiving: 0,
            known: false,
            since: now,
            until: after(now, silent),
            listed: None,
        };
        self.entries.insert(number, entry);
        self.sockets = self.sockets.saturating_add(1);
        self.live = self.live.saturating_add(1);
        let of_network = self.networks.entry(network).or_default();
        of_network.live = of_network.live.saturating_add(1);
        self.change(number, |_| {});
        number
    }

    /// Changes what is known of a connection, and lists it by its new rank.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        change(entry);
        let (rank, listed) = (entry.rank(), entry.listed);
        if rank != listed {
            entry.listed = rank;
            let mut of_network = self.networks.get_mut(&entry.network);
            let lists = [Some(&mut self.closable), of_network.as_mut().map(|of_network| &mut of_network.closable)];
            for list in lists.into_iter().flatten() {
                if let Some(listed) = listed {
                    list.remove(&(listed, number));
                }
                if let Some(rank) = rank {
                    list.insert((rank, number));
                }
            }
        }
    }

    fn close(&mut self, number: u64) {
        let Some(entry) = self.entries.get(&number) else { return };
        if entry.cut.is_cancelled() {
            return;
        }
        entry.cut.cancel();
        let network = entry.network;
        self.change(number, |_| {});
        self.give_place_back(network);
    }

    /// Drops what is known of a connection that is gone, once none of its requests runs.
    fn forget(&mut self, number: u64) {
        let is_done = |entry: &Entry| !entry.is_open && entry.running == 0;
        if !self.entries.get(&number).is_some_and(is_done) {
            return;
        }
        if let Some(entry) = self.entries.remove(&number)
            && !entry.cut.is_cancelled()
        {
            self.give_place_back(entry.network);
        }
    }

    fn give_place_back(&mut self, network: IpAddr) {
        self.live = self.live.saturating_sub(1);
        if let Some(of_network) = self.networks.get_mut(&network) {
            of_network.live = of_network.live.saturating_sub(1);
            if of_network.live == 0 {
                self.networks.remove(&network);
            }
        }
    }
}

impl Entry {
    /// Returns the rank of a connection that can be closed for a new one.
    fn rank(&self) -> Option<Rank> {
        if !self.is_open || self.cut.is_cancelled() {
            return None;
        }
        // If a request runs whose body has arrived, the connection keeps its place: the request would
        // run on without one.
        let receiving = self.receiving > 0 && self.running <= self.receiving;
        ((self.is_idle() || receiving) && !(receiving && self.known)).then_some((self.known, receiving, self.since))
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.is_open && self.is_idle() && now >= self.until
    }

    const fn is_idle(&self) -> bool {
        self.requests == 0 && self.running == 0
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    /// Closes the connection.
    pub(crate) cut: CancellationToken,
    /// A permit for each request that may run.
    requests: Arc<Semaphore>,
    connections: Arc<Connections>,
}

impl Connection {
    /// Counts a request from its head to its answer.
    pub(crate) fn begin(self: &Arc<Self>) -> InProgress {
        self.change(|entry| entry.requests = entry.requests.saturating_add(1));
        InProgress { connection: Arc::clone(self), answer: 0 }
    }

    /// Waits until another request of this connection may run, and counts it until it has ended.
    pub(crate) async fn run(self: &Arc<Self>) -> Runs {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.requests).acquire_owned().await.ok();
        self.change(|entry| entry.running = entry.running.saturating_add(1));
        Runs { connection: Arc::clone(self), _permit: permit }
    }

    /// Counts a body from its first byte to its last.
    pub(crate) fn receive(self: &Arc<Self>) -> Receiving {
        self.change(|entry| {
            if entry.receiving == 0 {
                entry.since = Instant::now();
            }
            entry.receiving = entry.receiving.saturating_add(1);
        });
        Receiving(Arc::clone(self))
    }

    /// Remembers that a login was accepted on this connection.
    pub(crate) fn know(&self) {
        self.change(|entry| entry.known = true);
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        self.connections.table().change(self.number, change);
    }
}

/// A connection's descriptor, given back when the socket is closed.
#[derive(Debug)]
pub(crate) struct Place(pub(crate) Arc<Connection>);

impl Drop for Place {
    fn drop(&mut self) {
        let Self(connection) = self;
        let mut table = connection.connections.table();
        table.change(connection.number, |entry| entry.is_open = false);
        table.sockets = table.sockets.saturating_sub(1);
        table.forget(connection.number);
        drop(table);
        connection.connections.freed.notify_one();
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InProgress {
    connection: Arc<Connection>,
    answer: u64,
}

impl InProgress {
    /// Ends with an answer of this many bytes, for which a slow client has time.
    pub(crate) fn answered(mut self, bytes: u64) {
        self.answer = bytes;
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let reading = Duration::from_secs(self.answer.div_ceil(SLOWEST_READER));
        let silent = self.connection.connections.silent();
        let now = Instant::now();
        self.connection.change(|entry| {
            entry.requests = entry.requests.saturating_sub(1);
            entry.since = now;
            entry.until = entry.until.max(after(now, silent.saturating_add(reading)));
        });
    }
}

/// A request that runs.
#[derive(Debug)]
pub(crate) struct Runs {
    connection: Arc<Connection>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Runs {
    fn drop(&mut self) {
        let number = self.connection.number;
        let mut table = self.connection.connections.table();
        table.change(number, |entry| entry.running = entry.running.saturating_sub(1));
        table.forget(number);
    }
}

/// A body that is being received.
#[derive(Debug)]
pub(crate) struct Receiving(Arc<Connection>);

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.change(|entry| entry.receiving = entry.receiving.saturating_sub(1));
    }
}

fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: usize, per_network: usize) -> Arc<Connections> {
        let silent = Duration::from_secs(30);
        let unlimited = vec!["127.0.0.0/8".parse().unwrap()];
        Connections::new(ConnectionLimits { total, per_network, silent, unlimited })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_client_takes_the_place_of_the_one_that_was_silent_longest() {
        let connections = limits(3, 9);
        let mut places = Vec::new();
        for host in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            places.push(connections.enter(address(host)).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let cut = |Place(connection): &Place| connection.cut.is_cancelled();
        // A login was accepted on the oldest, and the second is at work.
        places[0].0.know();
        let working = places[1].0.begin();
        let fourth = connections.enter(address("192.0.2.4")).unwrap();
        assert_eq!(places.iter().map(cut).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(connections.count(), 3);
        fourth.0.know();
        let receiving = fourth.0.receive();
        let fifth = connections.enter(address("192.0.2.5")).unwrap();
        assert!(cut(&places[0]), "the only one left that is not at work");
        let busy = fifth.0.begin();
        assert!(connections.enter(address("192.0.2.6")).is_none(), "all are at work");
        drop((working, receiving, busy));
        assert!(connections.enter(address("192.0.2.6")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_displaces_itself_and_a_proxy_has_no_ceiling() {
        let connections = limits(9, 2);
        let other = connections.enter(address("192.0.2.1")).unwrap();
        let first = connections.enter(address("2001:db8::1")).unwrap();
        let second = connections.enter(address("2001:db8::2")).unwrap();
        let third = connections.enter(address("2001:db8::3")).unwrap();
        assert!(first.0.cut.is_cancelled() && !other.0.cut.is_cancelled());
        let at_work = (second.0.begin(), third.0.begin());
        assert!(connections.enter(address("2001:db8::4")).is_none());
        drop(at_work);
        let proxied: Vec<_> = (0..5).map(|_| connections.enter(address("127.0.0.1")).unwrap()).collect();
        assert!(proxied.iter().all(|place| !place.0.cut.is_cancelled()));
        drop((other, first, second, third, proxied));
        assert_eq!(connections.count(), 0);
        let table = connections.table();
        assert!(table.networks.is_empty() && table.entries.is_empty() && table.closable.is_empty());
        assert_eq!((table.live, table.sockets), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_gives_no_place_away_while_other_requests_run() {
        let connections = limits(9, 1);
        let enter = || connections.enter(address("192.0.2.1"));
        let place = enter().unwrap();
        let (slow, upload, body) = (place.0.run().await, place.0.run().await, place.0.receive());
        assert!(enter().is_none(), "the slow request would run on beside those of the new connection");
        drop(slow);
        let next = enter().unwrap();
        assert!(place.0.cut.is_cancelled(), "nothing but the body is at work");
        drop((upload, body, place, next));
        assert_eq!(connections.table().live, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_gone_keeps_its_place_while_its_requests_run() {
        let connections = limits(9, 2);
        let enter = || connections.enter(address("192.0.2.1"));
        let (first, second) = (enter().unwrap(), enter().unwrap());
        let runs = [first.0.run().await, first.0.run().await, second.0.run().await];
        drop((first, second));
        assert_eq!(connections.table().sockets, 0);
        assert!(enter().is_none(), "whoever connects anew for each request has no more of them");
        let [one, other, last] = runs;
        drop(one);
        assert!(enter().is_none());
        drop(other);
        let third = enter().unwrap();
        drop((last, third));
        let table = connections.table();
        assert!(table.networks.is_empty() && table.entries.is_empty() && table.live == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_requests_of_a_connection_run_at_once() {
        let connections = limits(9, 9);
        let place = connections.enter(address("192.0.2.1")).unwrap();
        let mut runs = Vec::new();
        for _ in 0..STREAMS {
            runs.push(place.0.run().await);
        }
        assert!(timeout(Duration::from_secs(600), place.0.run()).await.is_err());
        assert!(!place.0.cut.is_cancelled());
        runs.pop();
        let _last = place.0.run().await;
    }

    /// Whatever happens, the lists hold just those connections that can be closed, in their order.
    #[tokio::test(start_paused = true)]
    async fn the_lists_agree_with_what_is_known_of_each_connection() {
        let connections = limits(20, 4);
        let (mut places, mut at_work) = (Vec::new(), Vec::new());
        let mut state = 1_u64;
        for _ in 0..3_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let dice = usize::try_from(state >> 40).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
            let of = |places: &[Place]| places.get(dice % places.len().max(1)).map(|Place(open)| Arc::clone(open));
            match (dice % 7, of(&places)) {
                (0 | 1, _) => places.extend(connections.enter(address(&format!("192.0.2.{}", dice % 8)))),
                (2, Some(_)) => drop(places.swap_remove(dice % places.len())),
                (3, Some(open)) if at_work.len() < 60 => at_work.push((Some(open.begin()), None)),
                (4, Some(open)) if at_work.len() < 60 => at_work.push((None, Some(open.receive()))),
                (5, Some(open)) if dice % 3 == 0 => open.know(),
                _ if !at_work.is_empty() => drop(at_work.swap_remove(dice % at_work.len())),
                _ => {}
            }
            let table = connections.table();
            let entries = table.entries.iter();
            let ranked: BTreeSet<_> = entries.filter_map(|(number, entry)| Some((entry.rank()?, *number))).collect();
            assert_eq!(table.closable, ranked);
            for (network, of_network) in &table.networks {
                let its = |(_, number): &&(Rank, u64)| table.entries[number].network == *network;
                assert_eq!(of_network.closable, ranked.iter().filter(its).copied().collect::<BTreeSet<_>>());
            }
            assert_eq!(table.networks.values().map(|of_network| of_network.live).sum::<usize>(), table.live);
            assert!(table.live <= 20);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_off_and_a_large_answer_has_its_time() {
        let connections = limits(9, 9);
        tokio::spawn(Arc::clone(&connections).watch());
        let silent = connections.enter(address("192.0.2.1")).unwrap();
        let reading = connections.enter(address("192.0.2.1")).unwrap();
        let working = connections.enter(address("192.0.2.1")).unwrap();
        reading.0.begin().answered(60 * SLOWEST_READER);
        let _request = working.0.begin();
        tokio::time::timeout(Duration::from_secs(32), silent.0.cut.cancelled()).await.unwrap();
        assert!(!reading.0.cut.is_cancelled());
        tokio::time::timeout(Duration::from_secs(65), reading.0.cut.cancelled()).await.unwrap();
        assert!(!working.0.cut.is_cancelled());
    }
}

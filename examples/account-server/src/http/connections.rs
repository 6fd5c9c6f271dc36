//! The open connections: how many there may be, how long they may be silent, and which one is closed
//! when a new client needs its place.
//!
//! A new client is preferred to one that has sent nothing: at a ceiling, the connection that has been
//! silent the longest is closed. One on which a request was answered to a login is closed last, so
//! clients that open connections and send nothing displace each other, and not the users.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::caller::caller;

/// Connections that are being closed still have descriptors. There are at most this many of them.
pub(crate) const CLOSING: usize = 64;
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
    /// Also those that are being closed.
    open: HashMap<u64, Arc<Connection>>,
    /// How many are not being closed.
    live: usize,
    /// The same for each network that has any.
    networks: HashMap<IpAddr, usize>,
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    network: IpAddr,
    silent: Duration,
    /// Closes the connection.
    pub(crate) cut: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose head has arrived, and that are not answered.
    requests: usize,
    /// Those whose bodies are still arriving.
    receiving: usize,
    /// Whether a login was accepted on it.
    known: bool,
    /// Since when it has been in this state.
    since: Instant,
    /// Without a request, when it is closed.
    until: Instant,
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
        let of_network = table.networks.get(&network).copied().unwrap_or_default();
        if limited && of_network >= self.limits.per_network {
            table.close_one(Some(network))?;
        }
        if table.live >= self.limits.total {
            table.close_one(None)?;
        }
        let now = Instant::now();
        let state =
            State { requests: 0, receiving: 0, known: false, since: now, until: after(now, self.limits.silent) };
        let connection = Arc::new(Connection {
            network,
            silent: self.limits.silent,
            cut: CancellationToken::new(),
            state: Mutex::new(state),
        });
        let number = table.next;
        table.next = number.wrapping_add(1);
        table.open.insert(number, Arc::clone(&connection));
        table.live = table.live.saturating_add(1);
        let count = table.networks.entry(network).or_default();
        *count = count.saturating_add(1);
        drop(table);
        Some(Place { number, connection, connections: Arc::clone(self) })
    }

    /// Waits until another connection may have a descriptor.
    pub(crate) async fn a_descriptor(&self) {
        loop {
            let freed = self.freed.notified();
            if self.table().open.len() < self.limits.total.saturating_add(CLOSING) {
                return;
            }
            let _waited = timeout(LOOK_EVERY, freed).await;
        }
    }

    /// Returns how long a connection may wait for the head of a request.
    pub(crate) fn silent(&self) -> Duration {
        self.limits.silent
    }

    /// Returns how many connections there are.
    pub(crate) fn count(&self) -> usize {
        self.table().live
    }

    /// Closes connections that have been silent for too long. Never ends.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let mut table = self.table();
            let silent: Vec<_> = table.open.values().filter(|open| open.is_overdue(now)).map(Arc::clone).collect();
            for connection in silent {
                table.close(&connection);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while the lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Closes the connection that is missed the least, of one network or of all.
    fn close_one(&mut self, network: Option<IpAddr>) -> Option<()> {
        let candidates = self.open.iter().filter(|(_, open)| network.is_none_or(|network| open.network == network));
        // Of connections of the same moment, the one that came first.
        let ranked = candidates.filter_map(|(number, open)| open.rank().map(|rank| ((rank, *number), open)));
        let (_, least) = ranked.min_by_key(|(rank, _)| *rank)?;
        let least = Arc::clone(least);
        self.close(&least);
        Some(())
    }

    fn close(&mut self, connection: &Connection) {
        if connection.cut.is_cancelled() {
            return;
        }
        connection.cut.cancel();
        self.forget(connection.network);
    }

    fn forget(&mut self, network: IpAddr) {
        self.live = self.live.saturating_sub(1);
        if let Some(count) = self.networks.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.networks.remove(&network);
            }
        }
    }
}

impl Connection {
    /// Counts a request from its head to its answer.
    pub(crate) fn begin(self: &Arc<Self>) -> InProgress {
        let mut state = self.state();
        state.requests = state.requests.saturating_add(1);
        drop(state);
        InProgress { connection: Arc::clone(self), answer: 0 }
    }

    /// Counts a body from its first byte to its last.
    pub(crate) fn receive(self: &Arc<Self>) -> Receiving {
        let mut state = self.state();
        if state.receiving == 0 {
            state.since = Instant::now();
        }
        state.receiving = state.receiving.saturating_add(1);
        drop(state);
        Receiving(Arc::clone(self))
    }

    /// Remembers that a login was accepted on this connection.
    pub(crate) fn know(&self) {
        self.state().known = true;
    }

    /// Returns the rank of a connection that can be closed for a new one.
    fn rank(&self) -> Option<Rank> {
        if self.cut.is_cancelled() {
            return None;
        }
        let state = self.state();
        let receiving = state.receiving > 0;
        let idle = state.requests == 0;
        ((idle || receiving) && !(receiving && state.known)).then_some((state.known, receiving, state.since))
    }

    fn is_overdue(&self, now: Instant) -> bool {
        let state = self.state();
        state.requests == 0 && now >= state.until
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, given back when the socket is closed.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    pub(crate) connection: Arc<Connection>,
    connections: Arc<Connections>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.open.remove(&self.number);
        if !self.connection.cut.is_cancelled() {
            table.forget(self.connection.network);
        }
        drop(table);
        self.connections.freed.notify_one();
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
        let now = Instant::now();
        let mut state = self.connection.state();
        state.requests = state.requests.saturating_sub(1);
        state.since = now;
        state.until = state.until.max(after(now, self.connection.silent.saturating_add(reading)));
    }
}

/// A body that is being received.
#[derive(Debug)]
pub(crate) struct Receiving(Arc<Connection>);

impl Drop for Receiving {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.receiving = state.receiving.saturating_sub(1);
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
        let cut = |place: &Place| place.connection.cut.is_cancelled();
        // A login was accepted on the oldest, and the second is at work.
        places[0].connection.know();
        let working = places[1].connection.begin();
        let fourth = connections.enter(address("192.0.2.4")).unwrap();
        assert_eq!(places.iter().map(cut).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(connections.count(), 3);
        fourth.connection.know();
        let receiving = fourth.connection.receive();
        let fifth = connections.enter(address("192.0.2.5")).unwrap();
        assert!(cut(&places[0]), "the only one left that is not at work");
        let busy = fifth.connection.begin();
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
        assert!(first.connection.cut.is_cancelled() && !other.connection.cut.is_cancelled());
        let at_work = (second.connection.begin(), third.connection.begin());
        assert!(connections.enter(address("2001:db8::4")).is_none());
        drop(at_work);
        let proxied: Vec<_> = (0..5).map(|_| connections.enter(address("127.0.0.1")).unwrap()).collect();
        assert!(proxied.iter().all(|place| !place.connection.cut.is_cancelled()));
        drop((other, first, second, third, proxied));
        assert_eq!(connections.count(), 0);
        assert!(connections.table().networks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_off_and_a_large_answer_has_its_time() {
        let connections = limits(9, 9);
        tokio::spawn(Arc::clone(&connections).watch());
        let silent = connections.enter(address("192.0.2.1")).unwrap();
        let reading = connections.enter(address("192.0.2.1")).unwrap();
        let working = connections.enter(address("192.0.2.1")).unwrap();
        reading.connection.begin().answered(60 * SLOWEST_READER);
        let _request = working.connection.begin();
        tokio::time::timeout(Duration::from_secs(32), silent.connection.cut.cancelled()).await.unwrap();
        assert!(!reading.connection.cut.is_cancelled());
        tokio::time::timeout(Duration::from_secs(65), reading.connection.cut.cancelled()).await.unwrap();
        assert!(!working.connection.cut.is_cancelled());
    }
}

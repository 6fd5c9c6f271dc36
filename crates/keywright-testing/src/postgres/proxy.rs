//! A proxy between the store and its server, which understands as much of the protocol as it takes to find a commit: it
//! loses the reply, keeps the request back, or counts the round trips.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It never reaches the server.
    LostBefore,
    /// The server has done it, and its reply never reaches the store.
    LostAfter,
    /// It is kept until it is delivered.
    Held,
}

/// What delivers a commit that is kept: its answer goes back.
type Delivery = oneshot::Sender<oneshot::Sender<bool>>;

#[derive(Debug, Default)]
struct Shared {
    next: Mutex<Option<Fate>>,
    held: Mutex<Option<Delivery>>,
    /// What the server said of the commit that was lost or kept.
    landed: Mutex<bool>,
    round_trips: AtomicUsize,
}

/// The proxy, which serves as long as its runtime.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy before the server of an address of the form that the clusters of tests have.
    /// A commit is a call of the function with which `keywright-postgres` commits.
    pub async fn before(url: &str) -> Self {
        Self::before_commits(url, "keywright.apply(").await
    }

    /// Starts a proxy before a store that commits by a statement which contains this text. A NUL
    /// stands for the end of the statement: a `COMMIT` by itself is `"COMMIT\0"`.
    pub async fn before_commits(url: &str, statement: &'static str) -> Self {
        let (start, rest) = url.split_once("127.0.0.1:").unwrap();
        let (port, end) = rest.split_once('/').unwrap();
        let port: u16 = port.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    tokio::spawn(serve(client, server, statement, Arc::clone(&serving)));
                }
            }
        });
        Self { url: format!("{start}127.0.0.1:{own}/{end}"), shared }
    }

    /// The address of the database behind the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Decides about the next commit.
    ///
    /// The commit is the statement that the store commits with, prepared or not.
    pub fn arm(&self, fate: Fate) {
        *self.shared.next.lock().unwrap() = Some(fate);
    }

    /// Takes back a decision that no commit has met yet.
    pub fn disarm(&self) {
        *self.shared.next.lock().unwrap() = None;
    }

    /// Delivers the commit that is kept, and returns whether the server has applied it.
    pub async fn deliver(&self) -> Option<bool> {
        let held = self.shared.held.lock().unwrap().take()?;
        let (answer, answered) = oneshot::channel();
        held.send(answer).ok()?;
        answered.await.ok()
    }

    /// How often the server has reported that it is ready for the next request.
    #[must_use]
    pub fn round_trips(&self) -> usize {
        self.shared.round_trips.load(Ordering::SeqCst)
    }
}

/// One message: its type (0 for the first of a connection, which has none) and its bytes.
async fn message(from: &mut OwnedReadHalf, has_type: bool) -> Option<(u8, Vec<u8>)> {
    let kind = if has_type { from.read_u8().await.ok()? } else { 0 };
    let length = from.read_u32().await.ok()?;
    let mut bytes = if has_type { vec![kind] } else { Vec::new() };
    bytes.extend(length.to_be_bytes());
    let start = bytes.len();
    // The length counts itself.
    let rest = usize::try_from(length).unwrap().checked_sub(4)?;
    bytes.resize(start.checked_add(rest)?, 0);
    from.read_exact(bytes.get_mut(start..)?).await.ok()?;
    Some((kind, bytes))
}

/// Finds requests that commit.
struct Commits {
    /// The text of a statement that commits.
    statement: &'static [u8],
    prepared: HashSet<Vec<u8>>,
}

impl Commits {
    fn is_one(&mut self, kind: u8, bytes: &[u8]) -> bool {
        let has_call = bytes.windows(self.statement.len()).any(|window| window == self.statement);
        let mut texts = bytes.get(5..).unwrap_or_default().split(|byte| *byte == 0);
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match kind {
            b'Q' => has_call,
            b'P' => {
                if has_call {
                    self.prepared.insert(first.to_vec());
                }
                false
            }
            b'B' => self.prepared.contains(second),
            _ => false,
        }
    }
}

async fn serve(client: TcpStream, server: TcpStream, statement: &'static str, shared: Arc<Shared>) {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    // Replies go back until the client's side decides otherwise.
    let (decide, decided) = mpsc::unbounded_channel();
    tokio::spawn(replies(from_server, to_client, decided, Arc::clone(&shared)));
    let mut commits = Commits { statement: statement.as_bytes(), prepared: HashSet::new() };
    let mut started = false;
    while let Some((kind, bytes)) = message(&mut from_client, started).await {
        started = true;
        if kind != 0 && commits.is_one(kind, &bytes) {
            let fate = shared.next.lock().unwrap().take();
            match fate {
                None => {}
                Some(Fate::LostBefore) => return,
                Some(fate) => {
                    if decide.send(fate).is_err() {
                        return;
                    }
                    let mut request = bytes;
                    if kind != b'Q' {
                        // Up to the end of the request: what executes it, and asks for the result.
                        loop {
                            let Some((kind, bytes)) = message(&mut from_client, true).await else { return };
                            request.extend(bytes);
                            if kind == b'S' {
                                break;
                            }
                        }
                    }
                    if fate == Fate::Held {
                        keep(request, to_server, decide, &shared).await;
                        return;
                    }
                    let _ = to_server.write_all(&request).await;
                    // Until the server has answered, which closes the channel.
                    decide.closed().await;
                    return;
                }
            }
        }
        if to_server.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The two ways in which the other side decides about replies.
type Decisions = mpsc::UnboundedSender<Fate>;

async fn keep(request: Vec<u8>, mut to_server: OwnedWriteHalf, decide: Decisions, shared: &Shared) {
    let (deliver, delivered) = oneshot::channel();
    *shared.held.lock().unwrap() = Some(deliver);
    let Ok(answer): Result<oneshot::Sender<bool>, _> = delivered.await else { return };
    if to_server.write_all(&request).await.is_ok() {
        decide.closed().await;
        let landed = *shared.landed.lock().unwrap();
        let _ = answer.send(landed);
    }
}

async fn replies(
    mut from_server: OwnedReadHalf,
    to_client: OwnedWriteHalf,
    mut decided: mpsc::UnboundedReceiver<Fate>,
    shared: Arc<Shared>,
) {
    let mut to_client = Some(to_client);
    let mut fate = None;
    loop {
        let next = if fate.is_none() {
            tokio::select! {
                biased;
                decision = decided.recv() => {
                    let Some(decision) = decision else { return };
                    fate = Some(decision);
                    *shared.landed.lock().unwrap() = false;
                    if decision == Fate::Held {
                        // The client learns nothing any more.
                        to_client = None;
                    }
                    continue;
                }
                next = message(&mut from_server, true) => next,
            }
        } else {
            message(&mut from_server, true).await
        };
        let Some((kind, bytes)) = next else { return };
        if kind == b'Z' {
            shared.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        match fate {
            None => {
                let Some(to_client) = &mut to_client else { return };
                if to_client.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Some(_) => {
                match kind {
                    // A row of one boolean: true as a byte, or as a text.
                    b'D' => *shared.landed.lock().unwrap() = matches!(bytes.last(), Some(1 | b't')),
                    // What a transaction's end was: `COMMIT` or `ROLLBACK`.
                    b'C' if bytes.ends_with(b"COMMIT\0") => *shared.landed.lock().unwrap() = true,
                    _ => {}
                }
                if kind == b'Z' {
                    return;
                }
            }
        }
    }
}

//! Many clients that send wrong passwords, on one thread. They send as fast as the server answers, and
//! leave it the processor: a thread for each of them would keep the server from its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use keywright_testing::process::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::scene::{basic, request};

/// From how many networks they come.
const NETWORKS: usize = 8;

/// A flood, until it is ended.
pub(crate) struct Flood {
    done: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Flood {
    /// Starts so many clients. Each sends its next request once the last is answered, half of them on
    /// a new connection.
    pub(crate) fn start(server: &Server, clients: usize) -> Self {
        let to: SocketAddr = server.address().parse().unwrap();
        let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, counts) = (Arc::clone(&done), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                let clients: Vec<_> = (0..clients)
                    .map(|number| tokio::spawn(client(number, to, Arc::clone(&ends), Arc::clone(&counts))))
                    .collect();
                for client in clients {
                    client.await.unwrap();
                }
            });
        });
        Self { done, answered, thread }
    }

    /// Returns how many requests have been answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn end(self) {
        self.done.store(true, Ordering::Release);
        self.thread.join().unwrap();
    }
}

async fn client(number: usize, to: SocketAddr, done: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let from = SocketAddr::from(([127, 0, 1, u8::try_from((number % NETWORKS).checked_add(1).unwrap()).unwrap()], 0));
    let again = number.is_multiple_of(2);
    let mut connection = None;
    let mut guess = 0_usize;
    while !done.load(Ordering::Acquire) {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match connect(from, to).await {
                Ok(stream) => stream,
                Err(_) => continue,
            },
        };
        let headers = basic(&format!("nobody{number}-{guess}:wrong"));
        let mut text = request("GET", "/index.php/apps/passwords/api/1.0/session/request", &headers, "");
        if again {
            text = text.replace("connection: close\r\n", "");
        }
        guess = guess.checked_add(1).unwrap();
        // The server may close a connection at any time.
        if let Ok(true) = ask(&mut stream, text.as_bytes()).await {
            answered.fetch_add(1, Ordering::Relaxed);
            connection = again.then_some(stream);
        }
    }
}

async fn connect(from: SocketAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(from)?;
    socket.connect(to).await
}

/// Sends a request, and reads the answer. Returns whether it came whole.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<bool> {
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Ok(false);
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() >= length.parse().unwrap() {
            return Ok(true);
        }
    }
}

//! A network that is slower than loopback: a relay that keeps everything for a while.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Starts a relay to a port of this machine. What a client sends reaches the server `delay` later;
/// answers come back at once. So a round trip takes `delay` longer, and what is sent without waiting
/// for an answer is delayed only once. Returns the address of the relay, which serves until the
/// process ends.
///
/// # Errors
/// An error if the relay cannot listen.
pub fn before(port: u16, delay: Duration) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client whose connection cannot be relayed finds it closed.
            let _ = relay(client, port, delay);
        }
    });
    Ok(address)
}

#[expect(clippy::disallowed_methods, reason = "a delay is what this is for")]
fn relay(client: TcpStream, port: u16, delay: Duration) -> Result<(), Failure> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let (sender, kept) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = requests.read(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if sender.send((Instant::now(), bytes)).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (arrived, bytes) in kept {
            thread::sleep(delay.saturating_sub(arrived.elapsed()));
            if to_server.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let (mut answers, mut to_client) = (server, client);
    thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    Ok(())
}

//! The listener: it accepts a connection once there is a place for it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::http::connections::{Connection, Connections, Place};

/// A listener with ceilings.
pub(crate) struct Gate {
    pub(crate) listener: TcpListener,
    pub(crate) connections: Arc<Connections>,
}

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    /// `None` for the listener's own address.
    pub(crate) connection: Option<Arc<Connection>>,
}

impl Connected<Caller> for Caller {
    fn connect_info(caller: Caller) -> Self {
        caller
    }
}

impl Address for Caller {
    type Stream = Stream;
    type Listener = Gate;
}

impl AddrListener<Stream, Caller> for Gate {
    async fn bind_to(_: Caller) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept_stream(&self) -> io::Result<(Stream, Caller)> {
        loop {
            self.connections.a_descriptor().await;
            let (stream, address) = self.listener.accept().await?;
            if let Some(place) = self.connections.enter(address.ip()) {
                let connection = Arc::clone(&place.0);
                let cut = Box::pin(connection.cut.clone().cancelled_owned());
                return Ok((Stream { stream, place, cut }, Caller { address, connection: Some(connection) }));
            }
            tracing::warn!("a connection was refused: all others are at work");
        }
    }

    fn get_local_addr(&self) -> io::Result<Caller> {
        Ok(Caller { address: self.listener.local_addr()?, connection: None })
    }
}

/// A connection that others may close.
pub(crate) struct Stream {
    stream: TcpStream,
    place: Place,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream {
    /// Returns the socket, or an error once the connection is to be closed.
    fn open(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        if self.place.0.cut.is_cancelled() || self.cut.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.open(cx)?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open(cx)?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

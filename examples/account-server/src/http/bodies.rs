//! Bodies of requests: how slowly they may come, how many bytes of them there may be at once, and
//! which are worked on beside the executor.
//!
//! A body is counted once it is read, and the protocols read none over 1 MiB without a valid token.
//! What it holds is given back when the request is answered, because until then the request has the
//! body in memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONNECTION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use http_body::{Body as _, Frame, SizeHint};
use keywright::nextcloud::RefusedBy;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::connections::{Connection, Receiving};
use crate::http::refusal::{refusal, with_reason};

/// Bodies beyond this are vaults: one at a time for an account. They are worked on beside the
/// executor, because parsing one takes a second. It is the limit of every other body too.
const LARGE: u64 = 1024 * 1024;
/// The most bytes of vaults at once, in KiB. Working on one takes several times its size.
const LARGE_AT_ONCE: usize = 192 * 1024;
/// The most bytes of other bodies at once, in KiB.
const SMALL_AT_ONCE: usize = 64 * 1024;
/// The slowest that a body may come, in bytes a second.
const SLOWEST: u64 = 64 * 1024;
/// After this time, in seconds, a client may try again that found everything in use.
const AGAIN: u64 = 5;
/// An account's id in a LibrePass token: `lp_` and 32 hex digits. What follows is secret.
const ACCOUNT_OF_TOKEN: usize = 35;

/// The limit on bytes of bodies that are held.
const BYTES_OF_BODIES: RefusedBy = RefusedBy::new("bytes_of_bodies");
/// The limit on vaults of an account that are received or worked on.
const UPLOADS_OF_ACCOUNT: RefusedBy = RefusedBy::new("uploads_of_account");

/// Shared by all requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bodies {
    /// How long a body may take beyond the time at the slowest rate.
    grace: Duration,
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// The accounts whose vaults are being received or worked on.
    uploading: Arc<Mutex<Vec<[u8; 32]>>>,
    /// Vaults are parsed one after another.
    parsing: Arc<Semaphore>,
}

impl Bodies {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            grace,
            small: Arc::new(Semaphore::new(SMALL_AT_ONCE)),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            uploading: Arc::default(),
            parsing: Arc::new(Semaphore::new(1)),
        }
    }

    /// Answers a request with `answer`, whose body is held to the limits.
    pub(crate) async fn answer<F>(
        &self,
        request: Request,
        connection: Option<Arc<Connection>>,
        answer: impl FnOnce(Request) -> F,
    ) -> Response
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let progress = Arc::new(Progress::default());
        let (head, body) = request.into_parts();
        let version = head.version;
        let now = Instant::now();
        let paced = Paced {
            body,
            bodies: self.clone(),
            progress: Arc::clone(&progress),
            account: account(&head.headers),
            connection,
            started: false,
            receiving: None,
            received: 0,
            begun: now,
            deadline: Box::pin(sleep_until(after(now, self.grace))),
            handed_over: false,
        };
        let future = Box::pin(answer(Request::from_parts(head, Body::new(paced))));
        let beside =
            Beside { here: Some(future), there: None, progress: Arc::clone(&progress), parsing: &self.parsing };
        let answered = beside.await;
        match progress.end() {
            End::Read => answered,
            End::Slow => {
                tracing::warn!("a body came too slowly");
                refused(version, StatusCode::REQUEST_TIMEOUT, "the body came too slowly")
            }
            End::Full => {
                tracing::warn!("a body was refused: too many bytes of bodies are held");
                with_reason(
                    refused(version, StatusCode::SERVICE_UNAVAILABLE, "too many bytes are being received"),
                    BYTES_OF_BODIES,
                )
            }
            End::Uploading => {
                tracing::warn!("a body was refused: another vault of its account is at work");
                with_reason(
                    refused(version, StatusCode::SERVICE_UNAVAILABLE, "another upload of this account is at work"),
                    UPLOADS_OF_ACCOUNT,
                )
            }
        }
    }
}

/// The rest of the body is not read, so the connection cannot be used again.
fn refused(version: Version, status: StatusCode, text: &'static str) -> Response {
    let mut response = refusal(status, text);
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(AGAIN));
    }
    response
}

/// Returns what stands for the account of a request. Only a request with a valid token has its large
/// body read, so nobody can use up the place of another account.
fn account(headers: &HeaderMap) -> [u8; 32] {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = value.rsplit(' ').next().unwrap_or_default();
    let account = token.starts_with("lp_").then(|| token.get(..ACCOUNT_OF_TOKEN)).flatten().unwrap_or(token);
    Sha256::digest(account).into()
}

/// Why the body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Read,
    Slow,
    Full,
    Uploading,
}

/// What the body and the request share.
#[derive(Default)]
struct Progress {
    end: AtomicU8,
    /// A large body has arrived.
    arrived: AtomicBool,
    held: Mutex<Held>,
}

/// What a body holds until its request is answered.
#[derive(Default)]
struct Held {
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
    _upload: Option<Upload>,
}

/// An account's only upload.
struct Upload {
    account: [u8; 32],
    uploading: Arc<Mutex<Vec<[u8; 32]>>>,
}

impl Upload {
    fn begin(account: [u8; 32], uploading: &Arc<Mutex<Vec<[u8; 32]>>>) -> Option<Self> {
        let mut accounts = uploading.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.contains(&account) {
            return None;
        }
        accounts.push(account);
        drop(accounts);
        Some(Self { account, uploading: Arc::clone(uploading) })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.uploading.lock().unwrap_or_else(PoisonError::into_inner).retain(|account| *account != self.account);
    }
}

impl Progress {
    fn end(&self) -> End {
        match self.end.load(Ordering::Acquire) {
            1 => End::Slow,
            2 => End::Full,
            3 => End::Uploading,
            _ => End::Read,
        }
    }

    fn refuse(&self, end: End) -> BoxError {
        let number = match end {
            End::Read => 0,
            End::Slow => 1,
            End::Full => 2,
            End::Uploading => 3,
        };
        self.end.store(number, Ordering::Release);
        "the body is not read on".into()
    }
}

/// A body within limits.
struct Paced {
    body: Body,
    bodies: Bodies,
    progress: Arc<Progress>,
    account: [u8; 32],
    connection: Option<Arc<Connection>>,
    started: bool,
    receiving: Option<Receiving>,
    received: u64,
    begun: Instant,
    deadline: Pin<Box<Sleep>>,
    handed_over: bool,
}

impl Paced {
    /// Holds as many bytes as have come, and an account's place once it is clear that they are a
    /// vault.
    fn hold(&self, come: usize) -> Result<(), End> {
        let mut held = self.progress.held.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_large() && held._upload.is_none() {
            held._upload = Some(Upload::begin(self.account, &self.bodies.uploading).ok_or(End::Uploading)?);
            if let Some(connection) = &self.connection {
                connection.know();
            }
        }
        let (semaphore, place) =
            if self.is_large() { (&self.bodies.large, &mut held.large) } else { (&self.bodies.small, &mut held.small) };
        let kibibytes = u32::try_from(come.div_ceil(1024)).unwrap_or(u32::MAX);
        let more = Arc::clone(semaphore).try_acquire_many_owned(kibibytes).map_err(|_| End::Full)?;
        match place {
            Some(permit) => permit.merge(more),
            None => *place = Some(more),
        }
        Ok(())
    }

    /// Whether the body is a vault, announced as one or not.
    fn is_large(&self) -> bool {
        self.received.saturating_add(self.body.size_hint().lower()) > LARGE
    }

    /// A large body that is about to end stops for once, so that its request is polled on beside the
    /// executor.
    fn hand_over(&mut self, cx: &Context<'_>) -> bool {
        if self.handed_over || self.received <= LARGE {
            return false;
        }
        self.handed_over = true;
        self.progress.arrived.store(true, Ordering::Release);
        cx.waker().wake_by_ref();
        true
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BoxError>> {
        if !self.started {
            self.started = true;
            self.begun = Instant::now();
            self.deadline.as_mut().reset(after(self.begun, self.bodies.grace));
            self.receiving = self.connection.as_ref().map(Connection::receive);
            // A vault is refused before it is read.
            self.hold(0).map_err(|end| self.progress.refuse(end))?;
        }
        if self.connection.as_ref().is_some_and(|connection| connection.cut.is_cancelled()) {
            return Poll::Ready(Err("the connection was closed".into()));
        }
        if self.body.is_end_stream() && self.hand_over(cx) {
            return Poll::Pending;
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.deadline.as_mut().poll(cx));
            return Poll::Ready(Err(self.progress.refuse(End::Slow)));
        };
        let Some(frame) = frame.transpose()? else { return Poll::Ready(Ok(None)) };
        let come = frame.data_ref().map_or(0, Bytes::len);
        self.received = self.received.saturating_add(u64::try_from(come).unwrap_or(u64::MAX));
        self.hold(come).map_err(|end| self.progress.refuse(end))?;
        let time = self.bodies.grace.saturating_add(Duration::from_secs(self.received / SLOWEST));
        let deadline = after(self.begun, time);
        if Instant::now() >= deadline {
            return Poll::Ready(Err(self.progress.refuse(End::Slow)));
        }
        self.deadline.as_mut().reset(deadline);
        Poll::Ready(Ok(Some(frame)))
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.poll(cx).map(Result::transpose)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && (self.handed_over || self.received <= LARGE)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A request that moves to a thread for blocking work once its large body has arrived.
struct Beside<'b, F> {
    here: Option<Pin<Box<F>>>,
    there: Option<Answering>,
    progress: Arc<Progress>,
    parsing: &'b Arc<Semaphore>,
}

impl<F: Future<Output = Response> + Send + 'static> Future for Beside<'_, F> {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        if let Some(here) = &mut self.here {
            if let Poll::Ready(response) = here.as_mut().poll(cx) {
                return Poll::Ready(response);
            }
            if !self.progress.arrived.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            if let Some(here) = self.here.take() {
                self.there = Some(Box::pin(beside(here, Arc::clone(self.parsing))));
            }
        }
        self.there.as_mut().map_or(Poll::Pending, |there| there.as_mut().poll(cx))
    }
}

async fn beside<F>(work: Pin<Box<F>>, parsing: Arc<Semaphore>) -> Response
where
    F: Future<Output = Response> + Send + 'static,
{
    let turn = parsing.acquire_owned().await;
    let runtime = Handle::current();
    let worked = spawn_blocking(move || {
        let _turn = turn;
        runtime.block_on(work)
    });
    worked.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use axum::body::to_bytes;
    use tokio::sync::mpsc;

    use super::*;

    const MIB: usize = 1024 * 1024;
    const GRACE: Duration = Duration::from_secs(30);

    /// A body that is sent piece by piece.
    struct Sent(mpsc::Receiver<Bytes>);

    impl http_body::Body for Sent {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn sent(token: &str) -> (mpsc::Sender<Bytes>, Request) {
        let (sender, receiver) = mpsc::channel(1);
        let request = axum::http::Request::put("/").header(AUTHORIZATION, token);
        (sender, request.body(Body::new(Sent(receiver))).unwrap())
    }

    fn whole(token: &str, length: usize) -> Request {
        let request = axum::http::Request::put("/").header(AUTHORIZATION, token);
        request.body(Body::from(vec![b' '; length])).unwrap()
    }

    /// Answers with the length of the body, or 400.
    async fn length(request: Request) -> Response {
        match to_bytes(request.into_body(), usize::MAX).await {
            Ok(body) => body.len().to_string().into_response(),
            Err(_) => StatusCode::BAD_REQUEST.into_response(),
        }
    }

    fn body(status: u16, message: &str) -> String {
        let code = if status == 503 { "LP-Database-Error" } else { "LP-Invalid-Body" };
        format!("{{\"error\":\"{code}\",\"message\":\"{message}\",\"status\":{status},\"success\":false}}")
    }

    async fn read(response: Response) -> (u16, String) {
        let (head, body) = response.into_parts();
        (head.status.as_u16(), String::from_utf8(to_bytes(body, 1024).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up_and_a_steady_one_is_not() {
        let bodies = Bodies::new(GRACE);
        for (piece, answer) in
            [(1, (408, body(408, "the body came too slowly"))), (128 * 1024, (200, 7_864_320.to_string()))]
        {
            let (sender, request) = sent("");
            let begun = Instant::now();
            tokio::spawn(async move {
                for _ in 0..60 {
                    if sender.send(Bytes::from(vec![b' '; piece])).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            let response = bodies.answer(request, None, length).await;
            if answer.0 == 408 {
                assert_eq!(response.headers().get(CONNECTION).unwrap(), "close");
                assert!(begun.elapsed() <= GRACE.saturating_add(Duration::from_secs(1)));
            }
            assert_eq!(read(response).await, answer);
        }
    }

    #[tokio::test]
    async fn an_account_uploads_one_vault_at_a_time_with_whatever_tokens() {
        let bodies = Bodies::new(GRACE);
        let alice = format!("Bearer lp_{}{}", "0a".repeat(16), "1".repeat(32));
        let again = format!("lp_{}{}", "0a".repeat(16), "2".repeat(32));
        let bob = format!("lp_{}{}", "0b".repeat(16), "2".repeat(32));
        let (sender, request) = sent(&alice);
        let first = tokio::spawn({
            let bodies = bodies.clone();
            async move { bodies.answer(request, None, length).await }
        });
        for _ in 0..3 {
            sender.send(Bytes::from(vec![b' '; MIB])).await.unwrap();
        }
        // The third piece was taken, so the second was counted.
        let refused = bodies.answer(whole(&again, 2 * MIB), None, length).await;
        assert_eq!(refused.headers().get(RETRY_AFTER).unwrap(), "5");
        assert_eq!(read(refused).await, (503, body(503, "another upload of this account is at work")));
        assert_eq!(read(bodies.answer(whole(&again, MIB), None, length).await).await.0, 200, "no vault");
        assert_eq!(read(bodies.answer(whole(&bob, 2 * MIB), None, length).await).await.0, 200);
        drop(sender);
        assert_eq!(read(first.await.unwrap()).await, (200, (3 * MIB).to_string()));
        assert_eq!(read(bodies.answer(whole(&again, 2 * MIB), None, length).await).await, (200, (2 * MIB).to_string()));
    }

    #[tokio::test]
    async fn bytes_have_a_ceiling_and_come_back() {
        let bodies = Bodies::new(GRACE);
        let _others = bodies.large.try_acquire_many(u32::try_from(LARGE_AT_ONCE - 1024).unwrap()).unwrap();
        let refused = bodies.answer(whole("x", 2 * MIB), None, length).await;
        assert_eq!(read(refused).await, (503, body(503, "too many bytes are being received")));
        assert_eq!(
            read(bodies.answer(whole("x", MIB), None, length).await).await.0,
            200,
            "small bodies have their own"
        );
        assert_eq!((bodies.small.available_permits(), bodies.large.available_permits()), (SMALL_AT_ONCE, 1024));
        assert!(bodies.uploading.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_vault_is_worked_on_beside_the_executor() {
        let bodies = Bodies::new(GRACE);
        let executor = thread::current().id();
        let where_worked = move |request: Request| async move {
            let read = to_bytes(request.into_body(), usize::MAX).await.is_ok();
            format!("{read} {}", thread::current().id() == executor).into_response()
        };
        let large = bodies.answer(whole("x", 2 * MIB), None, where_worked).await;
        assert_eq!(read(large).await.1, "true false");
        let small = bodies.answer(whole("x", MIB), None, where_worked).await;
        assert_eq!(read(small).await.1, "true true");
    }
}

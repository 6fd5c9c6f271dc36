//! The routes of the log-in.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use keywright::core::Event;
use keywright::rocketchat::events::LOGGED_IN;
use keywright::selfservice::{Decoys, HostError, Network, SelfService, is_cross_site};
use keywright::store::Draft;
use keywright::twofactor::{TrustToken, TwoFactor, VerifyOutcome};
use keywright::{AccountId, Purpose, SecretString, UnixSeconds};

use crate::hosts::selfservice::SelfServiceHost;
use crate::hosts::server::Server;
use crate::http::peer::socket_address;
use crate::signin::browser;
use crate::signin::cookie::{Cookie, REMEMBERED, SESSION, WAITING};
use crate::signin::page::{self, Message, Page};
use crate::signin::password::{self, Checked, Factor, busy, two_factor_error};
use crate::signin::sessions::{SESSION_SECONDS, Session, Sessions, WAITING_SECONDS};

/// A form has two short fields.
const MAX_FORM: usize = 8 * 1024;
/// The longest name and password that are checked, in bytes.
const MAX_NAME: usize = 256;
const MAX_PASSWORD: usize = 1024;
const LOGIN: &str = "login";
/// How long the cookie of a remembered browser is kept: as long as the token counts, 30 days.
const REMEMBERED_SECONDS: u64 = 2_592_000;

/// What the log-in needs.
#[derive(Clone)]
pub(crate) struct SignIn {
    pub(crate) pages: SelfService<SelfServiceHost>,
    pub(crate) server: Arc<Server>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) two_factor: TwoFactor,
    pub(crate) decoys: Arc<Decoys>,
    /// Whether cookies are sent over TLS only.
    pub(crate) secure: bool,
}

/// Returns the routes of the log-in.
pub(crate) fn routes(sign_in: &SignIn) -> Router {
    let (ask, check, ask_code, check_code) = (sign_in.clone(), sign_in.clone(), sign_in.clone(), sign_in.clone());
    Router::new()
        .route(
            "/login",
            get(async move |request: Request| ask.ask(&request.into_parts().0))
                .post(async move |request: Request| check.check(request).await),
        )
        .route(
            "/login/code",
            get(async move |request: Request| ask_code.ask_code(&request.into_parts().0).await)
                .post(async move |request: Request| check_code.check_code(request).await),
        )
}

/// The fields of a form.
struct Form(Vec<(String, SecretString)>);

impl Form {
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.expose())
    }
}

async fn read(body: Body) -> Option<Form> {
    let bytes = to_bytes(body, MAX_FORM).await.ok()?;
    let fields = form_urlencoded::parse(&bytes);
    Some(Form(fields.map(|(name, value)| (name.into_owned(), SecretString::new(value.into_owned()))).collect()))
}

fn network(head: &Parts) -> Option<Network> {
    socket_address(&head.extensions).map(Network::of)
}

impl SignIn {
    fn ask(&self, head: &Parts) -> Response {
        self.show(head, StatusCode::OK, &page::password(&self.pages.language(head), "", None), None)
    }

    /// Checks name and password.
    async fn check(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let head = &head;
        if is_cross_site(head) {
            return self.refuse(head, "", Message::CrossSite);
        }
        let Some(form) = read(body).await else { return self.refuse(head, "", Message::Wrong) };
        let (name, typed) = (form.get("name").trim(), form.get("password"));
        if name.is_empty() || name.len() > MAX_NAME || typed.is_empty() || typed.len() > MAX_PASSWORD {
            return self.refuse(head, "", Message::Wrong);
        }
        match self.try_password(head, name, typed).await {
            Ok(Ok(response)) => response,
            Ok(Err(message)) => self.refuse(head, name, message),
            Err(error) => self.refuse(head, name, failed(&error)),
        }
    }

    async fn try_password(
        &self,
        head: &Parts,
        name: &str,
        typed: &str,
    ) -> Result<Result<Response, Message>, HostError> {
        let token = self.sessions.token().map_err(HostError::new)?;
        let typed = SecretString::new(typed.to_owned());
        let (accounts, steps) = (&self.server.accounts, self.two_factor.steps());
        let checked = password::check(accounts, &self.decoys, steps, (name, &typed), network(head), &token).await?;
        let (account, epoch, factor) = match checked {
            Checked::Right { account, epoch, factor } => (account, epoch, factor),
            Checked::Wrong => return Ok(Err(Message::Wrong)),
            Checked::Refused(refusal) => return Ok(Err(Message::of(&refusal))),
            Checked::Busy => return Ok(Err(Message::Busy)),
        };
        let now = self.now()?;
        let profile = accounts.profile(&account).await.map_err(HostError::new)?;
        let shown = profile.map_or_else(|| name.to_owned(), |profile| profile.name);
        let login = Session::new(account, shown, epoch, now.plus(WAITING_SECONDS));
        Ok(match factor {
            Factor::Mailed => Err(Message::Mailed),
            Factor::None => Ok(self.enter(&token, login.opened(now), None)),
            Factor::Code if self.is_recognized(head, &login.account).await? => {
                self.log(&login.account).await?;
                Ok(self.enter(&token, login.opened(now), None))
            }
            Factor::Code => {
                self.sessions.wait(&token, login, now);
                Ok(see("/login/code", &[(WAITING, &token, WAITING_SECONDS)], self.secure))
            }
        })
    }

    async fn ask_code(&self, head: &Parts) -> Response {
        match self.login(&head.headers).await {
            Ok(Some(_)) => self.show(head, StatusCode::OK, &page::code(&self.pages.language(head), None), None),
            Ok(None) => self.refuse(head, "", Message::Expired),
            Err(error) => self.refuse(head, "", failed(&error)),
        }
    }

    /// Checks the code of a log-in whose password was right.
    async fn check_code(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let head = &head;
        if is_cross_site(head) {
            return self.refuse(head, "", Message::CrossSite);
        }
        let form = read(body).await;
        let typed = form.as_ref().map_or("", |form| form.get("code"));
        let remember = form.as_ref().is_some_and(|form| form.get("remember") == "1");
        match self.try_code(head, typed, remember).await {
            Ok(Ok(response)) => response,
            Ok(Err(Message::Expired)) => self.refuse(head, "", Message::Expired),
            Ok(Err(message)) => self.again(head, message),
            Err(error) => self.again(head, failed(&error)),
        }
    }

    async fn try_code(
        &self,
        head: &Parts,
        typed: &str,
        remember: bool,
    ) -> Result<Result<Response, Message>, HostError> {
        let Some((token, login)) = self.login(&head.headers).await? else { return Ok(Err(Message::Expired)) };
        let (driver, account) = (self.server.accounts.driver(), &login.account);
        // The session gets a token of its own, which no page had before the code was right.
        let fresh = self.sessions.token().map_err(HostError::new)?;
        let client = password::client(driver, account, network(head), &fresh);
        let verdict = self.two_factor.verify(account, typed, &Purpose::new(LOGIN), client).await;
        Ok(match verdict.map_err(two_factor_error)? {
            VerifyOutcome::Granted(proof) if self.sessions.waited(&token) => {
                self.log(account).await?;
                // Without it the owner is asked once more, so a failure does not undo the log-in.
                let trusted =
                    if remember { self.two_factor.trust(&proof, &browser::name(head)).await } else { Ok(None) };
                let trusted = trusted.unwrap_or_else(|error| {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a browser was not remembered");
                    None
                });
                let now = self.now()?;
                Ok(self.enter(&fresh, login.opened(now), trusted.as_ref()))
            }
            VerifyOutcome::Granted(_) => Err(Message::Expired),
            VerifyOutcome::Denied(denial) => {
                let next = denial.charge().and_then(keywright::core::Charge::next);
                Err(next.map_or(Message::WrongCode, Message::of))
            }
            VerifyOutcome::Refused(refusal) => Err(Message::of(&refusal)),
            VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled => Err(Message::Malformed),
        })
    }

    /// Whether the browser was remembered for this account, and nothing has changed since.
    async fn is_recognized(&self, head: &Parts, account: &AccountId) -> Result<bool, HostError> {
        let Some(token) = REMEMBERED.of(&head.headers) else { return Ok(false) };
        let found = self.two_factor.recognize(account, token.expose(), &Purpose::new(LOGIN)).await;
        Ok(found.map_err(two_factor_error)?.is_some())
    }

    /// Records the log-in for the owner.
    async fn log(&self, account: &AccountId) -> Result<(), HostError> {
        let step = |draft: &mut Draft<'_>| {
            draft.event(Event::new(&LOGGED_IN));
            Ok(())
        };
        self.server.accounts.driver().transact(&account.into(), &[], step).await.map_err(busy)
    }

    /// Returns the log-in that a request continues.
    async fn login(&self, headers: &HeaderMap) -> Result<Option<(SecretString, Session)>, HostError> {
        let Some(token) = WAITING.of(headers) else { return Ok(None) };
        let found = self.sessions.waiting(&token).await.map_err(busy)?;
        Ok(found.map(|login| (token, login)))
    }

    fn enter(&self, token: &SecretString, session: Session, trusted: Option<&TrustToken>) -> Response {
        self.sessions.open(token, session);
        let none = SecretString::new(String::new());
        let trusted = trusted.map(|trusted| SecretString::new(trusted.expose().to_owned()));
        let mut cookies = vec![(SESSION, token, SESSION_SECONDS), (WAITING, &none, 0)];
        cookies.extend(trusted.as_ref().map(|trusted| (REMEMBERED, trusted, REMEMBERED_SECONDS)));
        see("/", &cookies, self.secure)
    }

    fn refuse(&self, head: &Parts, name: &str, message: Message) -> Response {
        let page = page::password(&self.pages.language(head), name, Some(message));
        self.show(head, status(message), &page, message.retry_after())
    }

    fn again(&self, head: &Parts, message: Message) -> Response {
        let page = page::code(&self.pages.language(head), Some(message));
        self.show(head, status(message), &page, message.retry_after())
    }

    fn show(&self, head: &Parts, status: StatusCode, page: &Page, retry_after: Option<u64>) -> Response {
        let mut response = self.pages.page(head, status, page.title, &page.html).map(Body::from);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }

    fn now(&self) -> Result<UnixSeconds, HostError> {
        self.sessions.clock().now().map_err(HostError::new)
    }
}

const fn status(message: Message) -> StatusCode {
    match message {
        Message::Wrong | Message::WrongCode | Message::Malformed | Message::Expired | Message::Mailed => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Message::CrossSite => StatusCode::FORBIDDEN,
        Message::Locked | Message::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        Message::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Message::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn failed(error: &HostError) -> Message {
    match error.retry_after() {
        Some(_) => Message::Busy,
        None => {
            tracing::error!(error = error as &dyn std::error::Error, "a log-in failed");
            Message::Failed
        }
    }
}

/// Returns a redirection that sets cookies.
fn see(path: &'static str, cookies: &[(Cookie, &SecretString, u64)], secure: bool) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static(path))]).into_response();
    for (cookie, token, seconds) in cookies {
        if let Some(value) = cookie.set(token, *seconds, secure) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

//! The service on top of the endpoints.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use keywright_store::Driver;
use keywright_wire::{DueError, Protocol, Reply, Route};

use crate::answer::{self, Failure};
use crate::api::{self, reply as api_reply};
use crate::assets;
use crate::context::{Call, Context};
use crate::endpoints::{admit, confirm, enrol, factors, others, overview, recovery};
use crate::host::{Caller, Host};
use crate::html::messages::problem;
use crate::html::view::{TOKEN_FIELD, View, sent_token};
use crate::policy::{MAX_BODY, SelfServicePolicy, SelfServicePolicyError};
use crate::request::{Endpoint, Form, ROUTES, is_cross_site, is_form};
use crate::texts::Text;

/// The pages and the JSON API, over a driver and a host. It is cheap to clone.
///
/// With the feature `tower` it is a `tower::Service`.
pub struct SelfService<H> {
    cx: Arc<Context<H>>,
}

impl<H> Clone for SelfService<H> {
    fn clone(&self) -> Self {
        Self { cx: Arc::clone(&self.cx) }
    }
}

impl<H: Host> SelfService<H> {
    /// Creates the service.
    ///
    /// # Errors
    /// Returns [`SelfServicePolicyError::TwoFactor`] if the codes of the policy are too easy to
    /// guess under the driver's ledger policy.
    pub fn new(driver: Driver, host: Arc<H>, policy: SelfServicePolicy) -> Result<Self, SelfServicePolicyError> {
        Ok(Self { cx: Arc::new(Context::new(driver, host, policy)?) })
    }

    /// Answers a request whose body is complete.
    pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        self.answer(&head, body.as_ref()).await.into_response()
    }

    /// Returns a page of the host's own in the frame of these pages, such as a log-in page. `html`
    /// is the content of `main`; the caller has escaped what it inserts. The page is in the language
    /// that [`language`](Self::language) returns for the request.
    pub fn page(&self, head: &Parts, status: StatusCode, title: &str, html: &str) -> Response<Bytes> {
        let view = self.cx.view(head, None);
        let page = crate::html::view::Page::new(title, maud::PreEscaped(html.to_owned()));
        view.reply(&*self.cx.host, page).with_status(status).into_response()
    }

    /// Returns the language in which a request is answered, as a BCP 47 tag.
    #[must_use]
    pub fn language(&self, head: &Parts) -> String {
        self.cx.texts(head).language().to_owned()
    }

    async fn answer(&self, head: &Parts, body: &[u8]) -> Reply {
        let cx = &*self.cx;
        // The table is below `/`, whatever the base.
        let path = head.uri.path().strip_prefix(cx.policy.base).map(|below| format!("/{below}")).unwrap_or_default();
        let Some((route, segment)) = ROUTES.find(&path) else {
            return failed(cx, head, None, false, Failure::NotFound);
        };
        let is_api = route.endpoint.is_api();
        let refusal = || self.plain_refusal(head, is_api, StatusCode::METHOD_NOT_ALLOWED);
        if let Some(other) = route.other_method(&head.method, &(), refusal) {
            return other;
        }
        if !route.takes(body.len(), &()) {
            return self.plain_refusal(head, is_api, StatusCode::PAYLOAD_TOO_LARGE);
        }
        let reply = respond(cx, head, body, route, segment.unwrap_or_default()).await;
        if head.method == Method::HEAD { reply.without_body() } else { reply }
    }

    fn plain_refusal(&self, head: &Parts, is_api: bool, status: StatusCode) -> Reply {
        let view = self.cx.view(head, None);
        if is_api {
            return api_reply::refusal(&view, status, "not_accepted", view.say(Text::NotFoundLead), None);
        }
        let title = if status == StatusCode::PAYLOAD_TOO_LARGE { Text::TooLarge } else { Text::NotFound };
        let page = problem(&view, status, view.say(title), view.say(Text::NotFoundLead), None);
        view.reply(&*self.cx.host, page)
    }
}

async fn respond<H: Host>(
    cx: &Context<H>,
    head: &Parts,
    body: &[u8],
    route: &Route<Endpoint, ()>,
    segment: &str,
) -> Reply {
    let endpoint = route.endpoint;
    match endpoint {
        Endpoint::Style => return assets::style(&cx.policy.style),
        Endpoint::Script => return assets::script(),
        _ => {}
    }
    let caller = match cx.host.caller(head).await {
        Ok(caller) => caller,
        Err(error) => return failed(cx, head, None, endpoint.is_api(), error.into()),
    };
    let caller = caller.as_ref();
    let outcome = match read(cx, head, body, endpoint, caller, route.needs_login) {
        Ok(form) => run(cx, head, &form, segment, endpoint, caller).await,
        Err(failure) => Err(failure),
    };
    outcome.unwrap_or_else(|failure| failed(cx, head, caller, endpoint.is_api(), failure))
}

/// Reads the form, and refuses one that is not from a page of this session.
fn read<H: Host>(
    cx: &Context<H>,
    head: &Parts,
    body: &[u8],
    endpoint: Endpoint,
    caller: Option<&Caller>,
    needs_login: bool,
) -> Result<Form, Failure> {
    if needs_login && caller.is_none() {
        return Err(Failure::NoLogin);
    }
    if head.method != Method::POST {
        return Ok(Form::default());
    }
    if is_cross_site(head) {
        return Err(Failure::NotOwnForm);
    }
    let form = if endpoint.is_api() {
        if !body.is_empty() && !head.headers.get(CONTENT_TYPE).is_some_and(keywright_wire::is_json) {
            return Err(Failure::BadBody);
        }
        Form::parse_json(body).ok_or(Failure::BadBody)?
    } else if is_form(&head.headers) {
        Form::parse(body)
    } else {
        return Err(Failure::BadBody);
    };
    // The token of a link is the credential of a request without login.
    if let Some(caller) = caller.filter(|_| needs_login) {
        let field = if endpoint.is_api() { "" } else { form.get(TOKEN_FIELD) };
        if !cx.is_form_token(caller.session, sent_token(&head.headers, field)) {
            return Err(Failure::NotOwnForm);
        }
    }
    Ok(form)
}

async fn run<H: Host>(
    cx: &Context<H>,
    head: &Parts,
    form: &Form,
    segment: &str,
    endpoint: Endpoint,
    caller: Option<&Caller>,
) -> Result<Reply, Failure> {
    if endpoint == Endpoint::Admit {
        return admit::run(cx, head, form).await;
    }
    let caller = caller.ok_or(Failure::NoLogin)?;
    let view = &cx.view(head, Some(caller));
    let call = &Call { head, form, segment, caller, view };
    match endpoint {
        Endpoint::Overview => overview::run(cx, call).await,
        Endpoint::Activity => overview::activity(cx, call).await,
        Endpoint::Enrol => enrol::run(cx, call).await,
        Endpoint::EnrolConfirm => enrol::confirm(cx, call).await,
        Endpoint::Remove => factors::remove(cx, call).await,
        Endpoint::Rename => factors::rename(cx, call).await,
        Endpoint::Recovery => recovery::run(cx, call).await,
        Endpoint::RecoveryKeep => recovery::keep(cx, call).await,
        Endpoint::RecoveryFile => recovery::file(cx, call),
        Endpoint::Browser => others::browser(cx, call).await,
        Endpoint::BrowsersForget => others::forget_browsers(cx, call).await,
        Endpoint::SessionsEnd => others::end_sessions(cx, call).await,
        Endpoint::AddressCancel => others::cancel_address(cx, call).await,
        Endpoint::Confirm => confirm::run(cx, call).await,
        Endpoint::ConfirmGrant => confirm::grant(cx, call).await,
        Endpoint::SignOut => others::sign_out(cx, call).await,
        Endpoint::Admit | Endpoint::Style | Endpoint::Script => Err(Failure::NotFound),
        _ => api::run(cx, call, endpoint).await,
    }
}

/// Returns the answer to a request that failed.
fn failed<H: Host>(cx: &Context<H>, head: &Parts, caller: Option<&Caller>, is_api: bool, failure: Failure) -> Reply {
    let view = cx.view(head, caller);
    if let Failure::Due(error) = &failure
        && error.retry_after().is_none()
    {
        tracing::error!(error = error as &dyn Error, "a request of the self-service failed");
    }
    if is_api {
        return api_reply::failed(&view, &failure);
    }
    let (status, title, lead) = match &failure {
        Failure::NoLogin => return answer::see(cx.policy.login_path),
        Failure::NotOwnForm | Failure::BadBody => (StatusCode::FORBIDDEN, Text::Outdated, Text::OutdatedLead),
        Failure::NotFound => (StatusCode::NOT_FOUND, Text::NotFound, Text::NotFoundLead),
        Failure::Stale => (StatusCode::CONFLICT, Text::Outdated, Text::ProofStale),
        Failure::Due(error) => return unavailable(cx, &view, error),
    };
    view.reply(&*cx.host, problem(&view, status, view.say(title), view.say(lead), None))
}

fn unavailable<H: Host>(cx: &Context<H>, view: &View<'_>, error: &DueError) -> Reply {
    let page = match error.retry_after() {
        Some(seconds) => {
            let title = view.fill(Text::Busy, &[&view.texts.duration(seconds)]);
            problem(view, StatusCode::SERVICE_UNAVAILABLE, &title, view.say(Text::BusyLead), None)
                .retry_after(Some(seconds))
        }
        None => {
            let (title, lead) = (view.say(Text::Failed), view.say(Text::FailedLead));
            problem(view, answer::failed_status(error), title, lead, None)
        }
    };
    view.reply(&*cx.host, page)
}

impl<H: Host> Protocol for SelfService<H> {
    fn limit(&self, _: &str) -> usize {
        MAX_BODY
    }

    fn too_large(&self) -> Reply {
        Reply::json(StatusCode::PAYLOAD_TOO_LARGE, "{\"error\":\"too_large\"}")
    }

    fn broken(&self) -> Reply {
        Reply::json(StatusCode::BAD_REQUEST, "{\"error\":\"broken\"}")
    }

    async fn respond(&self, request: Request<Bytes>) -> Reply {
        let (head, body) = request.into_parts();
        self.answer(&head, &body).await
    }
}

#[cfg(feature = "tower")]
keywright_wire::tower_service!(SelfService: Host);

impl<H> std::fmt::Debug for SelfService<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelfService").finish_non_exhaustive()
    }
}

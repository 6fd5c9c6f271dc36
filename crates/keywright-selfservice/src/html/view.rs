//! What every page knows, and the frame around it.

use http::{HeaderMap, StatusCode};
use keywright_wire::Reply;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::icon;
use crate::answer;
use crate::assets;
use crate::host::{Caller, Frame, Host};
use crate::policy::SelfServicePolicy;
use crate::request::{Endpoint, ROUTES};
use crate::texts::{self, Text, Texts};

/// What every page knows.
pub(crate) struct View<'v> {
    pub(crate) texts: &'v dyn Texts,
    pub(crate) policy: &'v SelfServicePolicy,
    pub(crate) caller: Option<&'v Caller>,
    /// The token of the session's forms.
    pub(crate) token: String,
}

/// A page without its frame.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) body: Markup,
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<u64>,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body, status: StatusCode::OK, retry_after: None }
    }

    /// Sets the status of a page that reports an error. Its title begins with "Error", so that a
    /// screen reader says so first (WCAG 2.2, technique G199).
    pub(crate) fn failed(mut self, view: &View<'_>, status: StatusCode) -> Self {
        self.title = view.fill(Text::ErrorPrefix, &[&self.title]);
        self.status = status;
        self
    }

    pub(crate) const fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }
}

impl View<'_> {
    /// Returns a text.
    pub(crate) fn say(&self, text: Text) -> &str {
        texts::say(self.texts, text)
    }

    /// Returns a text with its places filled in.
    pub(crate) fn fill(&self, text: Text, values: &[&str]) -> String {
        texts::fill(self.texts, text, values)
    }

    /// Returns the path of an endpoint.
    pub(crate) fn path(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.policy.base, ROUTES.path(endpoint))
    }

    /// Returns the path of an endpoint with its varying segment.
    pub(crate) fn path_of(&self, endpoint: Endpoint, segment: &str) -> String {
        let path = self.path(endpoint);
        match (path.split_once('{'), path.split_once('}')) {
            (Some((before, _)), Some((_, after))) => format!("{before}{segment}{after}"),
            _ => path,
        }
    }

    /// Returns the hidden field with the session's token.
    pub(crate) fn token_field(&self) -> Markup {
        html! { input type="hidden" name=(TOKEN_FIELD) value=(self.token); }
    }

    /// Returns the answer with a page in its frame.
    pub(crate) fn reply<H: Host>(&self, host: &H, page: Page) -> Reply {
        let (head, body) = (self.head(), self.body(&page.body));
        let title = format!("{} – {}", page.title, self.policy.service);
        let language = self.texts.language();
        let frame = Frame { language, title: &title, head: &head.0, body: &body.0 };
        let document = host.frame(&frame).unwrap_or_else(|| document(&frame).0);
        let reply = answer::page(document).with_status(page.status);
        match page.retry_after {
            Some(seconds) => reply.with_retry_after(seconds),
            None => reply,
        }
    }

    fn head(&self) -> Markup {
        let version = assets::version(&self.policy.style);
        html! {
            link rel="stylesheet" href={ (self.path(Endpoint::Style)) "?v=" (version) };
            script src={ (self.path(Endpoint::Script)) "?v=" (version) } defer {}
        }
    }

    fn body(&self, content: &Markup) -> Markup {
        html! {
            a .skip href="#main" { (self.say(Text::SkipToContent)) }
            header .top {
                a .brand href=(self.path(Endpoint::Overview)) { (icon::shield()) span { (self.policy.service) } }
                @if let Some(caller) = self.caller {
                    div .who {
                        span .name title=(self.fill(Text::SignedInAs, &[&caller.name])) { (caller.name) }
                        form method="post" action=(self.path(Endpoint::SignOut)) {
                            (self.token_field())
                            button .quiet { (self.say(Text::SignOut)) }
                        }
                    }
                }
            }
            main #main tabindex="-1" { (content) }
        }
    }
}

/// The name of the field that holds the token.
pub(crate) const TOKEN_FIELD: &str = "form_token";

fn document(frame: &Frame<'_>) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(frame.language) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                link rel="icon" href="data:,";
                title { (frame.title) }
                (PreEscaped(frame.head))
            }
            body { (PreEscaped(frame.body)) }
        }
    }
}

/// Returns the session's token of a request: a field of a form, or the header of the JSON API.
pub(crate) fn sent_token<'r>(headers: &'r HeaderMap, field: &'r str) -> &'r str {
    let header = headers.get("x-form-token").and_then(|value| value.to_str().ok());
    if field.is_empty() { header.unwrap_or_default() } else { field }
}

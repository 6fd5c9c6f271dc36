//! The pages of an enrolment.

use http::StatusCode;
use keywright_core::{SecretString, UnixSeconds};
use keywright_twofactor::Parameters;
use maud::{Markup, PreEscaped, html};

use super::parts::{Asking, Field, Kind, back, buttons, error, proof};
use super::view::{Page, View};
use crate::request::Endpoint;
use crate::texts::Text;

/// The form that begins an enrolment.
pub(crate) struct Start<'s> {
    pub(crate) name: &'s str,
    /// The id and the name of the authenticator to be replaced.
    pub(crate) replaces: Option<(&'s str, &'s str)>,
    pub(crate) asking: &'s Asking,
    /// An error that is not about the proof.
    pub(crate) error: Option<&'s str>,
}

pub(crate) fn start(view: &View<'_>, shown: &Start<'_>) -> Page {
    let label = view.say(Text::EnrolName);
    let name = Field {
        name: "name",
        label,
        hint: Some(view.say(Text::EnrolNameHint)),
        value: shown.name,
        kind: Kind::Name,
        is_wrong: shown.error.is_some(),
        focus: !shown.asking.is_answered(),
    };
    let title = view.say(Text::SetUp);
    let body = html! {
        (back(view))
        section .card.narrow {
            h1 { (title) }
            p { (view.say(Text::EnrolLead)) }
            @if let Some((_, old)) = shown.replaces { p { (view.fill(Text::EnrolReplaceLead, &[old])) } }
            @if let Some(message) = shown.error { (error(message)) }
            (shown.asking.notice())
            form method="post" action=(view.path(Endpoint::Enrol)) {
                (view.token_field())
                @if let Some((id, _)) = shown.replaces { input type="hidden" name="replaces" value=(id); }
                (name.markup())
                (proof(view, shown.asking, false))
                (buttons(view, view.say(Text::Continue), false, Some(shown.asking)))
            }
        }
    };
    Page::new(title, body)
}

/// The key of an enrolment, as the page shows it.
pub(crate) struct Shown<'s> {
    pub(crate) name: &'s str,
    /// The otpauth URI.
    pub(crate) uri: &'s SecretString,
    pub(crate) picture: Option<&'s SecretString>,
    /// The key in base32.
    pub(crate) key: &'s str,
    pub(crate) parameters: &'s Parameters,
    /// When the enrolment ends, if that is known.
    pub(crate) expires: Option<UnixSeconds>,
    pub(crate) error: Option<&'s str>,
}

pub(crate) fn scan(view: &View<'_>, shown: &Shown<'_>) -> Page {
    let (digits, step) = (shown.parameters.digits().to_string(), shown.parameters.step_seconds().to_string());
    let code = Field {
        name: "code",
        label: view.say(Text::CodeField),
        hint: None,
        value: "",
        kind: Kind::Code,
        is_wrong: shown.error.is_some(),
        focus: shown.error.is_some(),
    };
    let title = view.say(Text::ScanTitle);
    let body = html! {
        section .card.narrow {
            h1 { (title) }
            @if let Some(message) = shown.error { (error(message)) }
            ol .steps {
                li {
                    p { (view.say(Text::ScanStep)) }
                    @if let Some(picture) = shown.picture {
                        div .qr role="img" aria-label=(view.say(Text::QrLabel)) { (PreEscaped(picture.expose())) }
                    }
                    p .meta { (view.say(Text::KeyStep)) }
                    (key(view, shown.key))
                    p .meta { (view.fill(Text::KeyDetails, &[&digits, &step])) }
                    p { a href=(shown.uri.expose()) { (view.say(Text::OpenInApp)) } }
                }
                li {
                    p { (view.say(Text::CodeStep)) }
                    form method="post" action=(view.path(Endpoint::EnrolConfirm)) {
                        (view.token_field())
                        input type="hidden" name="key" value=(shown.key);
                        input type="hidden" name="name" value=(shown.name);
                        input type="hidden" name="expires" value=(shown.expires.map_or(0, UnixSeconds::get));
                        (code.markup())
                        (buttons(view, view.say(Text::TurnOn), false, None))
                    }
                }
            }
            @if let Some(expires) = shown.expires {
                p .meta { (view.fill(Text::EnrolExpires, &[&view.texts.moment(expires)])) }
            }
        }
    };
    let page = Page::new(title, body);
    if shown.error.is_some() { page.failed(view, StatusCode::UNPROCESSABLE_ENTITY) } else { page }
}

/// Returns the key in groups of four, with a button that copies it without the blanks.
fn key(view: &View<'_>, key: &str) -> Markup {
    let groups: Vec<&str> = key.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    html! {
        div .copyable {
            code #key .key { @for (at, group) in groups.iter().enumerate() { @if at > 0 { " " } span { (group) } } }
            button .quiet.script type="button" data-copy="key" data-done=(view.say(Text::Copied)) hidden {
                (view.say(Text::Copy))
            }
        }
    }
}

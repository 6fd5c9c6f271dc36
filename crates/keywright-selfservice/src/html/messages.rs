//! Pages that only say something, and small forms.

use http::StatusCode;
use maud::html;

use super::parts::{Field, Kind, back, buttons};
use super::view::{Page, View};
use crate::host::RememberedBrowser;
use crate::request::Endpoint;
use crate::texts::Text;

/// A page that says what went wrong, with a way to go on.
pub(crate) fn problem(
    view: &View<'_>,
    status: StatusCode,
    title: &str,
    lead: &str,
    onward: Option<(String, Text)>,
) -> Page {
    let (path, label) = onward.unwrap_or_else(|| (view.path(Endpoint::Overview), Text::Back));
    let body = html! {
        section .card.narrow {
            h1 { (title) }
            p role="alert" { (lead) }
            div .buttons { a .button.primary href=(path) { (view.say(label)) } }
        }
    };
    Page::new(title, body).failed(view, status)
}

/// The question whether all other sessions should end.
pub(crate) fn end_sessions(view: &View<'_>) -> Page {
    let title = view.say(Text::SessionsEnd);
    let body = html! {
        (back(view))
        section .card.narrow {
            h1 { (title) }
            p { (view.say(Text::SessionsLead)) }
            form method="post" action=(view.path(Endpoint::SessionsEnd)) {
                (view.token_field())
                (buttons(view, title, false, None))
            }
        }
    };
    Page::new(title, body)
}

/// The form that renames a remembered browser.
pub(crate) fn rename_browser(view: &View<'_>, browser: &RememberedBrowser, is_wrong: bool) -> Page {
    let title = view.say(Text::Rename);
    let label = view.say(Text::EnrolName);
    let field =
        Field { name: "name", label, hint: None, value: &browser.name, kind: Kind::Name, is_wrong, focus: true };
    let body = html! {
        (back(view))
        section .card.narrow {
            h1 { (title) }
            @if is_wrong { (super::parts::error(view.say(Text::EnrolBadName))) }
            form method="post" action=(view.path_of(Endpoint::Browser, &browser.id)) {
                (view.token_field())
                (field.markup())
                (buttons(view, title, false, None))
            }
        }
    };
    Page::new(title, body)
}

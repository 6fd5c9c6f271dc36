//! The pages that remove and rename a factor.

use keywright_twofactor::Enrolled;
use maud::html;

use super::parts::{Asking, Field, Kind, back, buttons, error, proof};
use super::view::{Page, View};
use crate::request::Endpoint;
use crate::texts::Text;

/// The page that removes an authenticator or another factor.
pub(crate) fn remove(view: &View<'_>, id: &str, name: &str, enrolled: &Enrolled, asking: &Asking) -> Page {
    let title = view.fill(Text::RemoveNamed, &[name]);
    let is_last = enrolled.devices.len().saturating_add(enrolled.attested.len()) == 1;
    let is_app = enrolled.devices.iter().any(|device| device.id.to_string() == id);
    let lead = if is_app { Text::RemoveLead } else { Text::RemoveFactorLead };
    let last = if enrolled.email { Text::RemoveLastBeforeMail } else { Text::RemoveLast };
    let body = html! {
        (back(view))
        section .card.narrow {
            h1 { (title) }
            p { (view.fill(lead, &[name])) }
            @if is_last { p { strong { (view.say(last)) } } }
            (asking.notice())
            form method="post" action=(view.path_of(Endpoint::Remove, id)) {
                (view.token_field())
                (proof(view, asking, true))
                (buttons(view, view.say(Text::Remove), true, Some(asking)))
            }
        }
    };
    Page::new(title, body)
}

/// What the form for a new name shows.
pub(crate) struct Rename<'r> {
    pub(crate) id: &'r str,
    pub(crate) old: &'r str,
    /// What is in the field.
    pub(crate) name: &'r str,
    pub(crate) is_bad_name: bool,
    pub(crate) asking: &'r Asking,
}

/// The page that renames an authenticator or another factor.
pub(crate) fn rename(view: &View<'_>, shown: &Rename<'_>) -> Page {
    let title = view.fill(Text::RenameNamed, &[shown.old]);
    let field = Field {
        name: "name",
        label: view.say(Text::EnrolName),
        hint: None,
        value: shown.name,
        kind: Kind::Name,
        is_wrong: shown.is_bad_name,
        focus: !shown.asking.is_answered(),
    };
    let body = html! {
        (back(view))
        section .card.narrow {
            h1 { (title) }
            @if shown.is_bad_name { (error(view.say(Text::EnrolBadName))) }
            (shown.asking.notice())
            form method="post" action=(view.path_of(Endpoint::Rename, shown.id)) {
                (view.token_field())
                (field.markup())
                (proof(view, shown.asking, false))
                (buttons(view, view.say(Text::Rename), false, Some(shown.asking)))
            }
        }
    };
    Page::new(title, body)
}

//! The pages of recovery codes.

use keywright_twofactor::recovery::RecoveryCodes;
use maud::{Markup, html};

use super::parts::{Asking, back, buttons, done, proof};
use super::view::{Page, View};
use crate::request::Endpoint;
use crate::texts::Text;

/// Codes of this length or less, in characters, have two columns on a narrow screen.
const SHORT: usize = 10;

/// The form that makes a new set.
pub(crate) fn make(view: &View<'_>, asking: &Asking) -> Page {
    let title = view.say(Text::RecoveryMake);
    let body = html! {
        (back(view))
        section .card.narrow {
            h1 { (title) }
            p { (view.say(Text::RecoveryMakeLead)) }
            (asking.notice())
            form method="post" action=(view.path(Endpoint::Recovery)) {
                (view.token_field())
                (proof(view, asking, true))
                (buttons(view, title, false, Some(asking)))
            }
        }
    };
    Page::new(title, body)
}

/// The codes, shown once. `device` is the authenticator that was just set up; without one, the
/// codes wait for the owner's word.
pub(crate) fn keep(view: &View<'_>, codes: &RecoveryCodes, device: Option<&str>) -> Page {
    let title = view.say(Text::RecoveryKeep);
    let body = html! {
        section .card.narrow.print {
            @if let Some(name) = device { (done(&view.fill(Text::RecoveryFirst, &[name]))) }
            h1 { (title) }
            p { (view.say(Text::RecoveryLead)) " " (view.say(Text::RecoveryKeepLead)) }
            ol #codes .codes .short[codes.iter().all(|code| code.len() <= SHORT)] { @for code in codes.iter() { li { code { (code) } } } }
            (tools(view, codes))
            @if device.is_some() {
                div .buttons { a .button.primary href=(view.path(Endpoint::Overview)) { (view.say(Text::RecoveryKept)) } }
            } @else {
                p { strong { (view.say(Text::RecoveryPending)) } }
                form .buttons method="post" action=(view.path(Endpoint::RecoveryKeep)) {
                    (view.token_field())
                    button .primary { (view.say(Text::RecoveryKept)) }
                    a .button href=(view.path(Endpoint::Overview)) { (view.say(Text::Cancel)) }
                }
            }
        }
    };
    Page::new(title, body)
}

/// Returns the buttons to copy, print and download. A download needs no script, because the form
/// sends the codes back and gets them as a file.
fn tools(view: &View<'_>, codes: &RecoveryCodes) -> Markup {
    html! {
        div .tools {
            button .script type="button" data-copy="codes" data-done=(view.say(Text::Copied)) hidden {
                (view.say(Text::Copy))
            }
            form method="post" action=(view.path(Endpoint::RecoveryFile)) {
                (view.token_field())
                input type="hidden" name="codes" value=(codes.iter().collect::<Vec<_>>().join("\n"));
                button { (view.say(Text::Download)) }
            }
            button .script type="button" data-print hidden { (view.say(Text::Print)) }
        }
    }
}

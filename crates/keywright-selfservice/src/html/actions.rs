//! The pages that confirm an action of the host.

use keywright_confirm::{TypedCode, Wait};
use maud::{Markup, html};

use super::icon;
use super::parts::{Field, Kind, back, error};
use super::view::{Page, View};
use crate::host::HostAction;
use crate::request::Endpoint;
use crate::texts::Text;

/// The longest delay for which the stylesheet has a rule, in seconds.
const LONGEST_DELAY: u64 = 60;

/// The question, which begins nothing.
pub(crate) fn question(view: &View<'_>, action: &HostAction) -> Page {
    frame(
        view,
        action,
        None,
        &html! {
            form method="post" action=(view.path_of(Endpoint::Confirm, &action.id)) {
                (view.token_field())
                (buttons(view, view.say(Text::ConfirmStart), None))
            }
        },
    )
}

/// The code to be typed.
pub(crate) fn typed(view: &View<'_>, action: &HostAction, code: &TypedCode, message: Option<&str>) -> Page {
    let field = Field {
        name: "typed",
        label: view.say(Text::ConfirmTypeField),
        hint: None,
        value: "",
        kind: Kind::Shown,
        is_wrong: message.is_some(),
        focus: true,
    };
    frame(
        view,
        action,
        message,
        &html! {
            p { (view.say(Text::ConfirmType)) }
            p .shown { code { (code.expose()) } }
            p .meta { (view.fill(Text::ConfirmValid, &[&view.texts.moment(code.expires())])) }
            form method="post" action=(view.path_of(Endpoint::ConfirmGrant, &action.id)) {
                (view.token_field())
                (field.markup())
                (buttons(view, view.say(Text::ConfirmDo), None))
            }
        },
    )
}

/// The wait, with the field for the password. The button appears when the wait is over, by the
/// stylesheet alone.
pub(crate) fn wait(view: &View<'_>, action: &HostAction, seconds: u64, message: Option<&str>) -> Page {
    let field = Field {
        name: "typed",
        label: view.say(Text::ProofPassword),
        hint: None,
        value: "",
        kind: Kind::Password,
        is_wrong: message.is_some(),
        focus: true,
    };
    let delay = seconds.min(LONGEST_DELAY);
    frame(
        view,
        action,
        message,
        &html! {
            p role="status" { (view.fill(Text::ConfirmWait, &[&view.texts.duration(seconds)])) }
            div class={ "bar after-" (delay) } aria-hidden="true" { span {} }
            form method="post" action=(view.path_of(Endpoint::ConfirmGrant, &action.id)) {
                (view.token_field())
                (field.markup())
                (buttons(view, view.say(Text::ConfirmDo), Some(delay)))
            }
        },
    )
}

/// Returns the seconds of a wait.
pub(crate) const fn seconds(wait: &Wait) -> u64 {
    wait.seconds()
}

fn frame(view: &View<'_>, action: &HostAction, message: Option<&str>, content: &Markup) -> Page {
    let body = html! {
        (back(view))
        section .card.narrow {
            h1 { (action.title) }
            p { (action.description) }
            div .notice.warn { (icon::warning()) p { (view.say(Text::ConfirmWarning)) } }
            @if let Some(message) = message { (error(message)) }
            (content)
        }
    };
    Page::new(&action.title, body)
}

fn buttons(view: &View<'_>, label: &str, delay: Option<u64>) -> Markup {
    let class = delay.map(|seconds| format!("primary danger delayed after-{seconds}"));
    html! {
        div .buttons {
            button class=(class.as_deref().unwrap_or("primary danger")) { (label) }
            a .button href=(view.path(Endpoint::Overview)) { (view.say(Text::Cancel)) }
        }
    }
}

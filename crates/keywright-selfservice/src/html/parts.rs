//! What several pages have in common.

use maud::{Markup, html};

use super::icon;
use super::view::View;
use crate::act::proof::{Need, Refused};
use crate::request::Endpoint;
use crate::texts::Text;

/// The id of the element that describes an error.
const ERROR_ID: &str = "error";

/// Returns an error at the head of a form. A screen reader reads it at once.
pub(crate) fn error(message: &str) -> Markup {
    html! {
        div .notice.bad role="alert" id=(ERROR_ID) { (icon::warning()) p { (message) } }
    }
}

/// Returns the confirmation that something was done.
pub(crate) fn done(message: &str) -> Markup {
    html! { div .notice.good role="status" { (icon::check()) p { (message) } } }
}

/// Returns the link back to the overview.
pub(crate) fn back(view: &View<'_>) -> Markup {
    html! { p .back { a href=(view.path(Endpoint::Overview)) { "← " (view.say(Text::Back)) } } }
}

/// A text field.
pub(crate) struct Field<'f> {
    pub(crate) name: &'static str,
    pub(crate) label: &'f str,
    pub(crate) hint: Option<&'f str>,
    pub(crate) value: &'f str,
    pub(crate) kind: Kind,
    /// Whether the field is what the error is about.
    pub(crate) is_wrong: bool,
    /// Whether the cursor is there when the page opens.
    pub(crate) focus: bool,
}

/// What is typed into a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    /// Digits.
    Code,
    /// Digits, or the letters of a recovery code.
    AnyCode,
    Password,
    /// The code that confirms an action.
    Shown,
}

impl Field<'_> {
    pub(crate) fn markup(&self) -> Markup {
        let (id, hint_id) = (format!("field-{}", self.name), format!("hint-{}", self.name));
        let described = match (self.hint, self.is_wrong) {
            (Some(_), true) => Some(format!("{hint_id} {ERROR_ID}")),
            (Some(_), false) => Some(hint_id.clone()),
            (None, true) => Some(ERROR_ID.to_owned()),
            (None, false) => None,
        };
        let (kind, mode, complete, class) = match self.kind {
            Kind::Name => ("text", "text", "off", ""),
            Kind::Code => ("text", "numeric", "one-time-code", "code"),
            Kind::AnyCode => ("text", "text", "one-time-code", "code"),
            Kind::Password => ("password", "text", "current-password", ""),
            Kind::Shown => ("text", "text", "off", "code"),
        };
        html! {
            div .field {
                label for=(id) { (self.label) }
                @if let Some(hint) = self.hint { p .hint id=(hint_id) { (hint) } }
                input class=(class) id=(id) name=(self.name) type=(kind) inputmode=(mode) autocomplete=(complete)
                    value=(self.value) required autocapitalize="none" spellcheck="false"
                    maxlength=[(self.kind == Kind::Name).then_some("64")]
                    autofocus[self.focus] aria-invalid=[self.is_wrong.then_some("true")]
                    aria-describedby=[described];
            }
        }
    }
}

/// Returns the field for the proof that a form requires.
pub(crate) fn proof(view: &View<'_>, need: Need, refused: Option<Refused>, focus: bool) -> Markup {
    let (label, kind) = match need {
        Need::Nothing => return html! {},
        Need::Impossible => return html! { p .hint { (view.say(Text::ProofImpossible)) } },
        Need::Code => (Text::ProofCode, Kind::AnyCode),
        Need::Password => (Text::ProofPassword, Kind::Password),
    };
    let is_wrong = refused.is_some();
    let (label, focus) = (view.say(label), focus || is_wrong);
    Field { name: "proof", label, hint: None, value: "", kind, is_wrong, focus }.markup()
}

/// Returns the sentence for a refused proof.
pub(crate) fn refusal(view: &View<'_>, need: Need, refused: Refused) -> String {
    let by_password = need == Need::Password;
    match refused {
        Refused::Missing if by_password => view.say(Text::ProofMissingPassword).to_owned(),
        Refused::Missing => view.say(Text::ProofMissingCode).to_owned(),
        Refused::Malformed => view.say(Text::ProofMalformed).to_owned(),
        Refused::Impossible => view.say(Text::ProofImpossible).to_owned(),
        Refused::Wait(None) => view.say(Text::ProofLocked).to_owned(),
        Refused::Wait(Some(seconds)) => view.fill(Text::ProofWait, &[&view.texts.duration(seconds)]),
        Refused::Wrong { wait } => {
            let wrong = if by_password { Text::ProofWrongPassword } else { Text::ProofWrongCode };
            let wait = wait.map(|seconds| view.fill(Text::ProofWrongThenWait, &[&view.texts.duration(seconds)]));
            [view.say(wrong).to_owned()].into_iter().chain(wait).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Returns the buttons of a form: the act, and the way back.
pub(crate) fn buttons(view: &View<'_>, label: &str, is_destructive: bool) -> Markup {
    html! {
        div .buttons {
            button .primary .danger[is_destructive] { (label) }
            a .button href=(view.path(Endpoint::Overview)) { (view.say(Text::Cancel)) }
        }
    }
}

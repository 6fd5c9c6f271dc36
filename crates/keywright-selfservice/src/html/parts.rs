//! What several pages have in common.

use keywright_core::UnixSeconds;
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

/// What a form asks for as a proof, and what it says about the last attempt.
pub(crate) struct Asking {
    pub(crate) need: Need,
    /// The address to which a code is mailed, if one is needed.
    pub(crate) address: Option<String>,
    /// Until when the code is valid that was mailed last, if it is.
    pub(crate) mailed_until: Option<UnixSeconds>,
    /// What was refused, and the sentence that says so.
    pub(crate) refused: Option<(Refused, String)>,
    /// What was done instead.
    pub(crate) status: Option<String>,
}

impl Asking {
    /// Whether the form says something about the last attempt.
    pub(crate) const fn is_answered(&self) -> bool {
        self.refused.is_some() || self.status.is_some()
    }

    /// Whether the form's button asks for a mail, because no code can be typed yet.
    const fn begins_with_mail(&self) -> bool {
        matches!(self.need, Need::Mailed) && self.mailed_until.is_none()
    }

    /// Returns what the form says about the last attempt.
    pub(crate) fn notice(&self) -> Markup {
        html! {
            @if let Some((_, message)) = &self.refused { (error(message)) }
            @if let Some(message) = &self.status { (done(message)) }
        }
    }
}

/// Returns the field for the proof that a form requires.
pub(crate) fn proof(view: &View<'_>, asking: &Asking, focus: bool) -> Markup {
    let (label, kind) = match asking.need {
        Need::Nothing => return html! {},
        Need::Impossible => return html! { p .hint { (view.say(Text::ProofImpossible)) } },
        Need::Code => (Text::ProofCode, Kind::AnyCode),
        Need::Recovery => (Text::ProofRecovery, Kind::AnyCode),
        Need::Mailed if asking.begins_with_mail() => {
            return html! {
                p { (view.fill(Text::ProofMailLead, &[asking.address.as_deref().unwrap_or_default()])) }
                input type="hidden" name="send" value="1";
            };
        }
        Need::Mailed => (Text::ProofMailed, Kind::Code),
        Need::Password => (Text::ProofPassword, Kind::Password),
    };
    let hint = asking.mailed_until.map(|until| {
        let address = asking.address.as_deref().unwrap_or_default();
        view.fill(Text::ProofMailedHint, &[address, &view.texts.moment(until)])
    });
    let (label, focus) = (view.say(label), focus || asking.is_answered());
    // A mail that cannot be sent yet says nothing about the field.
    let is_wrong = asking
        .refused
        .as_ref()
        .is_some_and(|(refused, _)| asking.need != Need::Mailed || !matches!(refused, Refused::Wait(_)));
    Field { name: "proof", label, hint: hint.as_deref(), value: "", kind, is_wrong, focus }.markup()
}

/// Returns the sentence for a refused proof.
pub(crate) fn refusal(view: &View<'_>, need: Need, refused: Refused) -> String {
    let [missing, malformed, wrong] = match need {
        Need::Password => [Text::ProofMissingPassword, Text::ProofMalformed, Text::ProofWrongPassword],
        Need::Recovery => [Text::ProofMissingRecovery, Text::ProofMalformedRecovery, Text::ProofWrongRecovery],
        Need::Mailed => [Text::ProofMissingMailed, Text::ProofWrongMailed, Text::ProofWrongMailed],
        Need::Code | Need::Nothing | Need::Impossible => {
            [Text::ProofMissingCode, Text::ProofMalformed, Text::ProofWrongCode]
        }
    };
    match refused {
        Refused::Missing => view.say(missing).to_owned(),
        Refused::Malformed => view.say(malformed).to_owned(),
        Refused::Impossible => view.say(Text::ProofImpossible).to_owned(),
        Refused::Wait(None) => view.say(Text::ProofLocked).to_owned(),
        Refused::Wait(Some(seconds)) => view.fill(Text::ProofWait, &[&view.texts.duration(seconds)]),
        Refused::Wrong { wait } => {
            let wait = wait.map(|seconds| view.fill(Text::ProofWrongThenWait, &[&view.texts.duration(seconds)]));
            [view.say(wrong).to_owned()].into_iter().chain(wait).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Returns the buttons of a form: the act, and the way back. A form that takes a mailed code has one
/// for the mail: in place of the act until a code was mailed, and beside it afterwards.
pub(crate) fn buttons(view: &View<'_>, label: &str, is_destructive: bool, asking: Option<&Asking>) -> Markup {
    let begins_with_mail = asking.is_some_and(Asking::begins_with_mail);
    let takes_mail = asking.is_some_and(|asking| asking.need == Need::Mailed);
    html! {
        div .buttons {
            @if begins_with_mail {
                button .primary { (view.say(Text::ProofMailSend)) }
            } @else {
                // The first button is the one that the Enter key presses.
                button .primary .danger[is_destructive] { (label) }
                @if takes_mail { button name="send" value="1" formnovalidate { (view.say(Text::ProofMailAgain)) } }
            }
            a .button href=(view.path(Endpoint::Overview)) { (view.say(Text::Cancel)) }
        }
    }
}

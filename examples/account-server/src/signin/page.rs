//! The log-in pages, in English and German.

use keywright::core::Refusal;
use maud::{Markup, html};

/// A text in English and German.
type Both = (&'static str, &'static str);

const TITLE: Both = ("Sign in", "Anmelden");
const NAME: Both = ("Name", "Name");
const PASSWORD: Both = ("Password", "Passwort");
const CODE_TITLE: Both = ("Enter your code", "Code eingeben");
const CODE_LEAD: Both = (
    "Open your authenticator app and enter the code that it shows. A recovery code works too.",
    "Öffnen Sie Ihre Authenticator-App und geben Sie den Code ein, den sie zeigt. Ein Wiederherstellungscode geht auch.",
);
const CODE: Both = ("Code", "Code");
const REMEMBER: Both =
    ("Don't ask for a code on this browser for 30 days", "In diesem Browser 30 Tage lang nicht nach einem Code fragen");
const OTHER: Both = ("Sign in with another name", "Mit einem anderen Namen anmelden");
const WRONG: Both = ("The name or the password is wrong.", "Der Name oder das Passwort ist falsch.");
const WRONG_CODE: Both = (
    "This code is wrong or was used before. Wait for the next one.",
    "Dieser Code ist falsch oder wurde schon benutzt. Warten Sie auf den nächsten.",
);
const MALFORMED: Both = (
    "This is not a code. Enter the digits that your app shows, or a whole recovery code.",
    "Das ist kein Code. Geben Sie die Ziffern aus Ihrer App oder einen ganzen Wiederherstellungscode ein.",
);
const EXPIRED: Both = (
    "The sign-in took too long. Enter your password again.",
    "Die Anmeldung hat zu lange gedauert. Geben Sie Ihr Passwort noch einmal ein.",
);
const BUSY: Both = (
    "The server is busy. Nothing was checked. Try again in a few seconds.",
    "Der Server ist ausgelastet. Es wurde nichts geprüft. Versuchen Sie es in einigen Sekunden noch einmal.",
);
const FAILED: Both = (
    "Something went wrong on our side. Try again later.",
    "Bei uns ist etwas schiefgegangen. Versuchen Sie es später noch einmal.",
);
const CROSS_SITE: Both = (
    "This form was sent from another website, so nothing was done.",
    "Dieses Formular wurde von einer anderen Website gesendet, deshalb wurde nichts getan.",
);
const MAILED: Both = (
    "This account signs in with mailed codes, which this page does not offer.",
    "Dieses Konto meldet sich mit Codes per E-Mail an, die diese Seite nicht anbietet.",
);
const LOCKED: Both = (
    "There were too many wrong attempts. Waiting does not help: use the link that was mailed to you, sign in from a known place, or ask the operator.",
    "Es gab zu viele falsche Versuche. Warten hilft nicht: Benutzen Sie den Link in der Mail an Sie, melden Sie sich von einem bekannten Ort aus an, oder fragen Sie den Betreiber.",
);

/// What a log-in page reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Wrong,
    WrongCode,
    Malformed,
    Expired,
    Busy,
    Failed,
    CrossSite,
    Mailed,
    Locked,
    /// The seconds after which to try again.
    Wait(u64),
}

impl Message {
    pub(crate) fn of(refusal: &Refusal) -> Self {
        if refusal.is_locked() { Self::Locked } else { Self::Wait(refusal.retry_after()) }
    }

    /// Returns the seconds for `Retry-After`.
    pub(crate) const fn retry_after(self) -> Option<u64> {
        match self {
            Self::Wait(seconds) => Some(seconds),
            Self::Busy => Some(1),
            Self::Locked => Some(86_400),
            _ => None,
        }
    }

    fn text(self, language: &str) -> String {
        let both = match self {
            Self::Wrong => WRONG,
            Self::WrongCode => WRONG_CODE,
            Self::Malformed => MALFORMED,
            Self::Expired => EXPIRED,
            Self::Busy => BUSY,
            Self::Failed => FAILED,
            Self::CrossSite => CROSS_SITE,
            Self::Mailed => MAILED,
            Self::Locked => LOCKED,
            Self::Wait(seconds) => return wait(language, seconds),
        };
        say(language, both).to_owned()
    }
}

fn wait(language: &str, seconds: u64) -> String {
    let (count, english, german) = match seconds {
        0..120 => (seconds, "seconds", "Sekunden"),
        _ => (seconds.div_ceil(60), "minutes", "Minuten"),
    };
    if language == "de" {
        format!("Es gab zu viele falsche Versuche. Sie können es in {count} {german} noch einmal versuchen.")
    } else {
        format!("There were too many wrong attempts. You can try again in {count} {english}.")
    }
}

fn say(language: &str, (english, german): Both) -> &'static str {
    if language == "de" { german } else { english }
}

/// A page's title and content.
pub(crate) struct Page {
    pub(crate) title: &'static str,
    pub(crate) html: String,
}

/// Returns the form for name and password.
pub(crate) fn password(language: &str, name: &str, message: Option<Message>) -> Page {
    let title = say(language, TITLE);
    let wrong = message.map(|_| "true");
    let html = html! {
        section .card.narrow {
            h1 { (title) }
            @if let Some(message) = message { (error(&message.text(language))) }
            form method="post" action="/login" {
                div .field {
                    label for="name" { (say(language, NAME)) }
                    input #name name="name" value=(name) required maxlength="256" autocomplete="username"
                        autocapitalize="none" spellcheck="false" autofocus[name.is_empty()]
                        aria-invalid=[wrong] aria-describedby=[wrong.map(|_| "error")];
                }
                div .field {
                    label for="password" { (say(language, PASSWORD)) }
                    input #password name="password" type="password" required maxlength="1024"
                        autocomplete="current-password" autofocus[!name.is_empty()]
                        aria-invalid=[wrong] aria-describedby=[wrong.map(|_| "error")];
                }
                div .buttons { button .primary { (title) } }
            }
        }
    };
    Page { title, html: html.into_string() }
}

/// Returns the form for the code.
pub(crate) fn code(language: &str, message: Option<Message>) -> Page {
    let title = say(language, CODE_TITLE);
    let wrong = message.map(|_| "true");
    let html = html! {
        section .card.narrow {
            h1 { (title) }
            p #lead { (say(language, CODE_LEAD)) }
            @if let Some(message) = message { (error(&message.text(language))) }
            form method="post" action="/login/code" {
                div .field {
                    label for="code" { (say(language, CODE)) }
                    input .code #code name="code" required maxlength="256" autocomplete="one-time-code"
                        autocapitalize="none" spellcheck="false" autofocus
                        aria-invalid=[wrong] aria-describedby=[wrong.map_or(Some("lead"), |_| Some("error"))];
                }
                div .field {
                    label .check { input type="checkbox" name="remember" value="1"; " " (say(language, REMEMBER)) }
                }
                div .buttons { button .primary { (say(language, TITLE)) } }
            }
            p { a href="/login" { (say(language, OTHER)) } }
        }
    };
    Page { title, html: html.into_string() }
}

fn error(text: &str) -> Markup {
    html! { div #error .notice.bad role="alert" { p { (text) } } }
}

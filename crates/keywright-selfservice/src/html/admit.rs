//! The page behind a mailed link. GET shows it, and only its buttons act.

use http::StatusCode;
use keywright_core::ClientAdmission;
use maud::html;

use super::parts::error;
use super::view::{Page, View};
use crate::request::Endpoint;
use crate::texts::Text;

pub(crate) fn question(view: &View<'_>, token: &str) -> Page {
    let title = view.say(Text::Admit);
    let body = html! {
        section .card.narrow {
            h1 { (title) }
            p { (view.say(Text::AdmitLead)) }
            form .buttons method="post" action=(view.path(Endpoint::Admit)) {
                input type="hidden" name="token" value=(token);
                button .primary name="admit" value="here" { (view.say(Text::AdmitHere)) }
                button name="admit" value="refused" { (view.say(Text::AdmitRefused)) }
            }
        }
    };
    Page::new(title, body)
}

pub(crate) fn answer(view: &View<'_>, admission: Option<&ClientAdmission>) -> Page {
    match admission {
        Some(ClientAdmission::Admitted { until }) => {
            let title = view.say(Text::AdmitDone);
            let lead = view.fill(Text::AdmitDoneLead, &[&view.texts.moment(*until)]);
            let body = html! { section .card.narrow {
                h1 { (title) }
                p role="status" { (lead) }
                div .buttons { a .button.primary href=(view.policy.login_path) { (view.say(Text::Continue)) } }
            } };
            Page::new(title, body)
        }
        Some(ClientAdmission::TooMany { retry_after }) => {
            let title = view.say(Text::Admit);
            let message = view.fill(Text::AdmitTooMany, &[&view.texts.duration(*retry_after)]);
            let body = html! { section .card.narrow { h1 { (title) } (error(&message)) } };
            Page::new(title, body).failed(view, StatusCode::TOO_MANY_REQUESTS).retry_after(Some(*retry_after))
        }
        None => {
            let title = view.say(Text::AdmitInvalid);
            let body = html! { section .card.narrow { h1 { (title) } p { (view.say(Text::AdmitInvalidLead)) } } };
            Page::new(title, body).failed(view, StatusCode::NOT_FOUND)
        }
    }
}

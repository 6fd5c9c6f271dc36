//! The overview of an account's security, and its activity.

use keywright_twofactor::{DeviceId, DeviceInfo, Enrolled};
use maud::{Markup, html};

use super::icon;
use super::parts::{back, done};
use super::view::{Page, View};
use crate::act::activity::Entry;
use crate::act::factors::{name_of, takes_recovery_codes};
use crate::host::{HostAction, PendingAddress, RememberedBrowser};
use crate::request::Endpoint;
use crate::texts::{self, Text};

/// A number of unused codes from which the owner is reminded to make new ones.
const FEW: u8 = 3;

/// What the overview shows.
pub(crate) struct Overview {
    pub(crate) enrolled: Enrolled,
    pub(crate) browsers: Vec<RememberedBrowser>,
    pub(crate) address: Option<PendingAddress>,
    pub(crate) actions: Vec<HostAction>,
    pub(crate) activity: Vec<Entry>,
    /// What was just done.
    pub(crate) done: Option<Text>,
}

pub(crate) fn overview(view: &View<'_>, shown: &Overview) -> Page {
    let body = html! {
        div .lead {
            h1 { (view.say(Text::Overview)) }
            p { (view.say(Text::OverviewLead)) }
        }
        @if let Some(text) = shown.done { (done(view.say(text))) }
        @if let Some(pending) = &shown.address { (address(view, pending)) }
        (status(view, &shown.enrolled))
        div .grid {
            @if is_on(&shown.enrolled) { (authenticators(view, &shown.enrolled.devices)) }
            @if !shown.enrolled.attested.is_empty() || shown.enrolled.email { (factors(view, &shown.enrolled)) }
            @if takes_recovery_codes(&shown.enrolled) || shown.enrolled.recovery.is_some() {
                (recovery(view, &shown.enrolled))
            }
            @if !shown.browsers.is_empty() { (browsers(view, &shown.browsers)) }
            (sessions(view))
            @if !shown.actions.is_empty() { (actions(view, &shown.actions)) }
        }
        (activity(view, &shown.activity, &shown.enrolled, true))
    };
    Page::new(view.say(Text::Overview), body)
}

/// Whether the account has a second factor of any kind.
fn is_on(enrolled: &Enrolled) -> bool {
    takes_recovery_codes(enrolled) || enrolled.email
}

fn status(view: &View<'_>, enrolled: &Enrolled) -> Markup {
    let is_on = is_on(enrolled);
    let (title, lead) = match (is_on, enrolled.attested.is_empty() && enrolled.has_totp()) {
        (false, _) => (Text::TwoFactorOff, Text::TwoFactorOffLead),
        (true, true) => (Text::TwoFactorOn, Text::TwoFactorOnLead),
        (true, false) => (Text::TwoFactorOn, Text::TwoFactorOnByOther),
    };
    html! {
        section .hero .on[is_on] .off[!is_on] aria-labelledby="status" {
            div .badge { @if is_on { (icon::shield()) } @else { (icon::shield_off()) } }
            div {
                h2 #status { (view.say(title)) }
                p { (view.say(lead)) }
                @if !is_on {
                    a .button.primary href=(view.path(Endpoint::Enrol)) { (view.say(Text::SetUp)) }
                }
            }
        }
    }
}

fn card_head(icon: &Markup, id: &str, title: &str) -> Markup {
    html! { div .card-head { (icon) h2 id=(id) { (title) } } }
}

fn authenticators(view: &View<'_>, devices: &[DeviceInfo]) -> Markup {
    html! {
        section .card aria-labelledby="apps" {
            (card_head(&icon::phone(), "apps", view.say(Text::Authenticators)))
            @if devices.is_empty() {
                p { (view.say(Text::AuthenticatorsNone)) }
            } @else {
                ul .list { @for device in devices { (authenticator(view, device)) } }
            }
            div .buttons {
                @let label = if devices.is_empty() { Text::SetUp } else { Text::AddAnother };
                a .button href=(view.path(Endpoint::Enrol)) { (view.say(label)) }
            }
        }
    }
}

/// Returns the factors that the host checks, and mailed codes.
fn factors(view: &View<'_>, enrolled: &Enrolled) -> Markup {
    html! {
        section .card aria-labelledby="factors" {
            (card_head(&icon::key(), "factors", view.say(Text::Factors)))
            ul .list {
                @for factor in &enrolled.attested {
                    @let id = factor.id.to_string();
                    @let method = view.texts.method(&factor.method).unwrap_or(&factor.method);
                    li {
                        div .what {
                            strong { (factor.name) }
                            span .meta { (method) " · " (view.fill(Text::AddedOn, &[&view.texts.moment(factor.added)])) }
                        }
                        div .acts { (rename_and_remove(view, &id, &factor.name)) }
                    }
                }
                @if enrolled.email {
                    li {
                        div .what {
                            strong { (view.say(Text::MailedCodes)) }
                            span .meta { (view.say(Text::MailedCodesLead)) }
                        }
                    }
                }
            }
        }
    }
}

fn rename_and_remove(view: &View<'_>, id: &str, name: &str) -> Markup {
    html! {
        a href=(view.path_of(Endpoint::Rename, id)) aria-label=(view.fill(Text::RenameNamed, &[name])) {
            (view.say(Text::Rename))
        }
        a .danger href=(view.path_of(Endpoint::Remove, id)) aria-label=(view.fill(Text::RemoveNamed, &[name])) {
            (view.say(Text::Remove))
        }
    }
}

fn authenticator(view: &View<'_>, device: &DeviceInfo) -> Markup {
    let id = device.id.to_string();
    let replace = format!("{}?replaces={id}", view.path(Endpoint::Enrol));
    html! {
        li {
            div .what {
                strong { (device.name) }
                span .meta { (view.fill(Text::AddedOn, &[&view.texts.moment(device.added)])) }
                @if let Some(until) = device.refused_until {
                    span .meta.warn { (view.fill(Text::RefusedUntil, &[&view.texts.moment(until)])) }
                }
            }
            div .acts {
                a href=(replace) aria-label=(view.fill(Text::ReplaceNamed, &[&device.name])) {
                    (view.say(Text::Replace))
                }
                (rename_and_remove(view, &id, &device.name))
            }
        }
    }
}

fn recovery(view: &View<'_>, enrolled: &Enrolled) -> Markup {
    let left = enrolled.recovery.unwrap_or(0);
    let count = match left {
        0 => view.say(Text::RecoveryNone).to_owned(),
        1 => view.say(Text::RecoveryOne).to_owned(),
        left => view.fill(Text::RecoveryLeft, &[&left.to_string()]),
    };
    html! {
        section .card aria-labelledby="codes" {
            (card_head(&icon::key(), "codes", view.say(Text::Recovery)))
            p { (view.say(Text::RecoveryLead)) }
            p .count .warn[left <= FEW] { @if left <= FEW { (icon::warning()) } (count) }
            @if left == 0 { p .meta { (view.say(Text::RecoveryNoneLead)) } }
            div .buttons {
                a .button .primary[left <= FEW] href=(view.path(Endpoint::Recovery)) { (view.say(Text::RecoveryMake)) }
            }
        }
    }
}

fn browsers(view: &View<'_>, browsers: &[RememberedBrowser]) -> Markup {
    html! {
        section .card aria-labelledby="browsers" {
            (card_head(&icon::screen(), "browsers", view.say(Text::Browsers)))
            p { (view.say(Text::BrowsersLead)) }
            ul .list {
                @for browser in browsers {
                    @let (used, until) = (view.texts.moment(browser.last_used), view.texts.moment(browser.expires));
                    li {
                        div .what {
                            strong { (browser.name) }
                            span .meta { (view.fill(Text::BrowserUsed, &[&used, &until])) }
                        }
                        div .acts {
                            a href=(view.path_of(Endpoint::Browser, &browser.id))
                                aria-label=(view.fill(Text::RenameNamed, &[&browser.name])) { (view.say(Text::Rename)) }
                            form method="post" action=(view.path_of(Endpoint::Browser, &browser.id)) {
                                (view.token_field())
                                button .link.danger name="forget" value="1"
                                    aria-label=(view.fill(Text::ForgetNamed, &[&browser.name])) {
                                    (view.say(Text::Forget))
                                }
                            }
                        }
                    }
                }
            }
            form .buttons method="post" action=(view.path(Endpoint::BrowsersForget)) {
                (view.token_field())
                button { (view.say(Text::ForgetAll)) }
            }
        }
    }
}

fn sessions(view: &View<'_>) -> Markup {
    html! {
        section .card aria-labelledby="sessions" {
            (card_head(&icon::screen(), "sessions", view.say(Text::Sessions)))
            p { (view.say(Text::SessionsLead)) }
            form .buttons method="post" action=(view.path(Endpoint::SessionsEnd)) {
                (view.token_field())
                button { (view.say(Text::SessionsEnd)) }
            }
        }
    }
}

fn actions(view: &View<'_>, actions: &[HostAction]) -> Markup {
    html! {
        section .card aria-labelledby="actions" {
            (card_head(&icon::warning(), "actions", view.say(Text::Actions)))
            ul .list {
                @for action in actions {
                    li {
                        div .what { strong { (action.title) } span .meta { (action.description) } }
                        div .acts {
                            @let label = view.say(Text::ConfirmStart);
                            a .danger href=(view.path_of(Endpoint::Confirm, &action.id))
                                aria-label={ (label) ": " (action.title) } { (label) }
                        }
                    }
                }
            }
        }
    }
}

fn address(view: &View<'_>, pending: &PendingAddress) -> Markup {
    html! {
        section .notice.warn aria-labelledby="address" {
            (icon::mail())
            div {
                h2 #address { (view.say(Text::Address)) }
                p { (view.fill(Text::AddressLead, &[&pending.address])) }
                form .buttons method="post" action=(view.path(Endpoint::AddressCancel)) {
                    (view.token_field())
                    button { (view.say(Text::AddressCancel)) }
                }
            }
        }
    }
}

pub(crate) fn all_activity(view: &View<'_>, entries: &[Entry], enrolled: &Enrolled) -> Page {
    let body = html! {
        (back(view))
        div .lead { h1 { (view.say(Text::Activity)) } p { (view.say(Text::ActivityLead)) } }
        (activity(view, entries, enrolled, false))
    };
    Page::new(view.say(Text::Activity), body)
}

fn activity(view: &View<'_>, entries: &[Entry], enrolled: &Enrolled, short: bool) -> Markup {
    html! {
        section .card.wide aria-label=(view.say(Text::Activity)) {
            @if short { (card_head(&icon::clock(), "activity", view.say(Text::Activity))) }
            @if entries.is_empty() { p .meta { (view.say(Text::ActivityNone)) } }
            ol .events {
                @for entry in entries {
                    li {
                        span .sentence {
                            (sentence(view, entry))
                            @if let Some(name) = device(entry, enrolled) { " · " span .meta { (name) } }
                            @if entry.denied { " " span .tag { (view.say(Text::ActivityDenied)) } }
                        }
                        time .meta datetime=(iso(entry)) { (view.texts.moment(entry.at)) }
                    }
                }
            }
            @if short && !entries.is_empty() {
                p { a href=(view.path(Endpoint::Activity)) { (view.say(Text::ActivityAll)) } }
            }
        }
    }
}

/// Returns what happened, in the page's language.
pub(crate) fn sentence(view: &View<'_>, entry: &Entry) -> String {
    let own = view.texts.event(&entry.kind).map(str::to_owned);
    let other = || view.fill(Text::ActivityOther, &[&entry.kind.replace('_', " ")]);
    own.or_else(|| texts::Texts::event(&texts::English, &entry.kind).map(str::to_owned)).unwrap_or_else(other)
}

/// Returns the name of the factor that an event is about, while the account has it.
fn device<'e>(entry: &Entry, enrolled: &'e Enrolled) -> Option<&'e str> {
    name_of(enrolled, DeviceId::parse(entry.device.as_deref()?).ok()?)
}

fn iso(entry: &Entry) -> String {
    let seconds = i64::try_from(entry.at.get()).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

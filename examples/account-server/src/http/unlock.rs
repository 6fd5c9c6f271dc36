//! The page behind the link in a mail to an owner whom others have locked out by guessing, for the
//! protocols of Nextcloud Passwords and Rocket.Chat. LibrePass serves a page of its own.
//!
//! The link opens a page, and only the page's button acts, because mail scanners open links.

use std::future::Future;
use std::net::IpAddr;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use keywright::TransactError;
use keywright::core::ClientAdmission;
use keywright::librepass::{Admittance, Endpoint, RefusedBy};

use crate::http::peer::socket_address;
use crate::http::refusal::with_reason;
use crate::limits::token_bucket::{Counted, TokenBuckets};

/// A form has one short field.
const MAX_FORM: usize = 1024;
/// The field of the second button. Without it, the network that the click comes from is admitted.
const REFUSED: (&str, &str) = ("admit", "refused");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";

/// Returns the page with the buttons, whatever the link carries. They post to the link's address.
pub(crate) fn question() -> Response {
    page(StatusCode::OK, include_str!("unlock.html"))
}

/// Does what a button does, within `limits` if there are any. `click` receives the token and the
/// address whose network is to be admitted, or `None` for the client that was refused.
pub(crate) async fn admit<F>(
    limits: Option<&TokenBuckets>,
    request: Request,
    click: impl FnOnce(String, Option<IpAddr>) -> F + Send,
) -> Response
where
    F: Future<Output = Result<Option<ClientAdmission>, TransactError>> + Send,
{
    let here = socket_address(request.extensions());
    if let (Some(limits), Some(here)) = (limits, here)
        && let Admittance::Full { retry_after } = limits.admit(Endpoint::AdmitClient, Counted::Peer(here))
    {
        return too_many(retry_after, RefusedBy::REQUESTS_OF_PEER);
    }
    let token = token(request.uri().query().unwrap_or_default());
    let Ok(form) = to_bytes(request.into_body(), MAX_FORM).await else { return over() };
    match click(token, here.filter(|_| !is_refused(&form))).await {
        Ok(Some(ClientAdmission::Admitted { .. })) => page(StatusCode::OK, include_str!("unlocked.html")),
        Ok(Some(ClientAdmission::TooMany { retry_after })) => too_many(retry_after, RefusedBy::ADMISSIONS),
        Ok(None) => over(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "nobody was let in by a mail");
            let answer = (StatusCode::SERVICE_UNAVAILABLE, "this did not work; try again\n").into_response();
            with_reason(answer, RefusedBy::STORE_BUSY)
        }
    }
}

/// Returns the token in a link, or an empty string.
fn token(query: &str) -> String {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    found.map(|(_, token)| token.into_owned()).unwrap_or_default()
}

/// Whether a form was sent by the second button.
fn is_refused(form: &[u8]) -> bool {
    form_urlencoded::parse(form).any(|(name, value)| (&*name, &*value) == REFUSED)
}

fn over() -> Response {
    (StatusCode::FORBIDDEN, "this link does not work any more; a newer mail may have another one\n").into_response()
}

fn too_many(retry_after: u64, reason: RefusedBy) -> Response {
    let text = format!("too often; try again in {retry_after} s\n");
    let headers = [(header::RETRY_AFTER, HeaderValue::from(retry_after))];
    with_reason((StatusCode::TOO_MANY_REQUESTS, headers, text).into_response(), reason)
}

fn page(status: StatusCode, page: &'static str) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        // The address of this page admits a client.
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::directory::Accounts;
    use crate::accounts::new_account::NewAccount;
    use crate::accounts::slots::SLOT_KINDS;
    use crate::housekeeping::Housekeeper;
    use crate::options::Options;
    use crate::start::assemble;
    use axum::body::Body;
    use axum::extract::ConnectInfo;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use clap::Parser;
    use keywright::nextcloud::MailAdmits;
    use keywright::{Keyring, Keywright, ManualClock, MemoryStore, SecretString, SystemEntropy, UnixSeconds};
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::Arc;

    const HOME: &str = "192.0.2.1";
    const ELSEWHERE: &str = "198.51.100.1";

    async fn housekeeper(clock: &Arc<ManualClock>, outbox: &Path) -> Housekeeper {
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        let builder = Keywright::builder(MemoryStore::new()).keyring(keyring).slots(SLOT_KINDS);
        let keywright = builder.clock(Arc::clone(clock) as Arc<_>).open().await.unwrap();
        let accounts = Arc::new(Accounts::new(keywright.driver().clone()).unwrap());
        let alice = NewAccount {
            name: "alice".to_owned(),
            email: Some("alice@example.org".to_owned()),
            login_password: Some(SecretString::new("login".to_owned())),
            app_passwords: Vec::new(),
            rocketchat: None,
        };
        accounts.seed(&alice).await.unwrap();
        let outbox = outbox.display().to_string();
        let options = Options::parse_from(["account-server", "--outbox", &outbox, "--rate-limits", "off"]);
        assemble(&options, keywright, accounts, false, "https://example.org".parse().unwrap()).await.unwrap()
    }

    fn from(address: &str, request: &mut Request<impl Sized>) {
        let address: IpAddr = address.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 1)));
    }

    async fn log_in(housekeeper: &Housekeeper, address: &str, password: &str) -> u16 {
        let login = STANDARD.encode(format!("alice:{password}"));
        let request = axum::http::Request::get("/index.php/apps/passwords/api/1.0/session/request");
        let mut request = request.header("authorization", format!("Basic {login}")).body(Vec::new()).unwrap();
        from(address, &mut request);
        housekeeper.nextcloud.handle(request).await.status().as_u16()
    }

    async fn click(housekeeper: &Housekeeper, address: &str, link: &str, form: &'static str) -> u16 {
        let mut request = axum::http::Request::post(link).body(Body::from(form)).unwrap();
        from(address, &mut request);
        let admitted = |token: String, here: Option<IpAddr>| async move {
            let admits = here.map_or(MailAdmits::Refused, MailAdmits::Address);
            housekeeper.nextcloud.admit_by_mail(&token, admits).await
        };
        admit(housekeeper.librepass_limits.as_deref(), request, admitted).await.status().as_u16()
    }

    #[tokio::test]
    async fn an_owner_who_is_shut_out_gets_a_mail_and_gets_in_by_its_button() {
        let clock = Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)));
        let folder = tempfile::tempdir().unwrap();
        let outbox = folder.path().join("outbox");
        let housekeeper = housekeeper(&clock, &outbox).await;
        // Guesses from everywhere, until even a client that waits is refused without a check.
        for attacker in 0..80 {
            log_in(&housekeeper, &format!("203.0.113.{attacker}"), "wrong").await;
            clock.advance(3_600);
        }
        assert_eq!(log_in(&housekeeper, HOME, "login").await, 429);
        // The mail is left to the sweep, so that the time of the refusal does not reveal which
        // accounts exist.
        for account in housekeeper.keywright.housekeeping().due_at_start(None, 10).await.unwrap().accounts {
            housekeeper.nextcloud.finish_due_at_start(&account).await.unwrap();
        }
        let mails = std::fs::read_to_string(&outbox).unwrap();
        assert!(mails.contains("To: alice@example.org\nSubject: Somebody is guessing at your account\n\n"), "{mails}");
        assert!(!mails.contains("wrong\n"), "{mails}");
        let link = mails.lines().rfind(|line| line.contains("://") && line.contains("?token=")).unwrap();
        assert!(link.starts_with("https://example.org/unlock/passwords?token="), "{link}");

        assert_eq!(click(&housekeeper, HOME, "https://example.org/unlock/passwords", "").await, 403);
        assert_eq!(click(&housekeeper, HOME, "https://example.org/unlock/passwords?token=AAAA", "").await, 403);
        assert_eq!(log_in(&housekeeper, HOME, "login").await, 429);
        assert_eq!(click(&housekeeper, HOME, link, "admit=here").await, 200);
        assert_eq!(log_in(&housekeeper, ELSEWHERE, "login").await, 429, "it lets in one network");
        assert_eq!(log_in(&housekeeper, HOME, "login").await, 200);
        assert_eq!(question().status(), 200);
    }
    #[test]
    fn queries_and_forms_are_read_as_browsers_and_mail_programs_write_them() {
        for (query, expected) in [
            ("token=aZ09-_", "aZ09-_"),
            ("a=b&token=x&token=y", "x"),
            ("token=a%2Db%5f", "a-b_"),
            ("tok%65n=x", "x"),
            ("Token=x", ""),
            ("token", ""),
            ("", ""),
        ] {
            assert_eq!(token(query), expected, "{query}");
        }
        for (form, expected) in [
            ("admit=refused", true),
            ("x=y&admit=refused", true),
            ("admit=refuse%64", true),
            ("admit=here", false),
            ("admit=refused2", false),
            ("admit", false),
            ("", false),
        ] {
            assert_eq!(is_refused(form.as_bytes()), expected, "{form}");
        }
    }
}

//! A host with one password for everybody, whose cookie names the account and the session.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use http::request::Parts;
use keywright_confirm::{Action, Confirmed};
use keywright_core::{Client, ClientAdmission, ManualClock, SecretString, SessionId, UnixSeconds};
use keywright_selfservice::queue::Requester;
use keywright_selfservice::{
    Caller, ConfirmStyle, Frame, Host, HostAction, HostError, LinkAdmits, OwnerAction, PendingAddress,
    RememberedBrowser, SelfService, SelfServicePolicy,
};
use keywright_store::{Driver, SlotKind};
use keywright_testing::World;

pub(crate) const PASSWORD: &str = "correct horse";
/// A name that would be harmful in a page that does not escape it.
pub(crate) const NAME: &str = "eve <script>alert(1)</script>";

pub(crate) struct TestHost {
    driver: Driver,
    account: keywright_core::AccountId,
    pub(crate) performed: Mutex<Vec<String>>,
    pub(crate) ended: AtomicU32,
    pub(crate) address: AtomicBool,
    pub(crate) busy: AtomicBool,
    /// The ids and names of remembered browsers.
    pub(crate) browsers: Mutex<Vec<(String, String)>>,
    /// Whether the host has a template of its own.
    pub(crate) framed: AtomicBool,
}

impl Host for TestHost {
    async fn caller(&self, head: &Parts) -> Result<Option<Caller>, HostError> {
        let cookie = head.headers.get("cookie").and_then(|value| value.to_str().ok());
        let Some(session) = cookie.and_then(|cookie| cookie.strip_prefix("session=")) else { return Ok(None) };
        let client = Client::credential(self.driver.client_tag(&self.account, session.as_bytes()));
        Ok(Some(Caller::new(self.account.clone(), SessionId::new(session), client, NAME)))
    }

    async fn check_password(&self, _: &Caller, password: &SecretString, _: &Requester) -> Result<bool, HostError> {
        if self.busy.load(Ordering::SeqCst) {
            return Err(HostError::busy(7));
        }
        Ok(password.expose() == PASSWORD)
    }

    async fn end_other_sessions(&self, _: &Caller, _: u64) -> Result<(), HostError> {
        self.ended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn sign_out(&self, _: &Caller) -> Result<Option<HeaderValue>, HostError> {
        Ok(Some(HeaderValue::from_static("session=; Max-Age=0")))
    }

    async fn actions(&self, _: &Caller, language: &str) -> Result<Vec<HostAction>, HostError> {
        let title = if language == "de" { "Konto löschen" } else { "Delete the <b>account</b>" };
        Ok(vec![
            HostAction::new("delete", title, "Everything is lost.", ConfirmStyle::TypedCode),
            HostAction::new("wipe", "Wipe", "Everything is lost.", ConfirmStyle::PasswordAndWait),
        ])
    }

    async fn perform(&self, proof: Confirmed<OwnerAction>) -> Result<(), HostError> {
        let (_, action) = proof.into_parts();
        self.performed.lock().unwrap().push(action.target().to_owned());
        Ok(())
    }

    async fn pending_address(&self, _: &Caller) -> Result<Option<PendingAddress>, HostError> {
        Ok(self.address.load(Ordering::SeqCst).then(|| PendingAddress::new("new@example.org")))
    }

    async fn cancel_address(&self, _: &Caller) -> Result<bool, HostError> {
        Ok(self.address.swap(false, Ordering::SeqCst))
    }

    async fn browsers(&self, _: &Caller) -> Result<Vec<RememberedBrowser>, HostError> {
        let at = UnixSeconds::new(1_796_021_100).unwrap();
        let names = self.browsers.lock().unwrap();
        Ok(names.iter().map(|(id, name)| RememberedBrowser::new(id, name, at, at.plus(86_400))).collect())
    }

    async fn forget_browser(&self, _: &Caller, id: Option<&str>) -> Result<bool, HostError> {
        self.browsers.lock().unwrap().retain(|(own, _)| id.is_some_and(|id| id != own));
        Ok(true)
    }

    async fn rename_browser(&self, _: &Caller, id: &str, name: &str) -> Result<bool, HostError> {
        let mut browsers = self.browsers.lock().unwrap();
        let found = browsers.iter_mut().find(|(own, _)| own == id && !name.is_empty());
        Ok(found.map(|(_, own)| *own = name.to_owned()).is_some())
    }

    fn frame(&self, frame: &Frame<'_>) -> Option<String> {
        let title = frame.title.replace('&', "&amp;").replace('<', "&lt;");
        let Frame { language, head, body, .. } = frame;
        self.framed.load(Ordering::SeqCst).then(|| {
            format!("<!doctype html><html lang=\"{language}\"><head><title>{title}</title>{head}</head><body class=\"mine\">{body}</body></html>")
        })
    }

    fn language(&self, head: &Parts) -> Option<String> {
        head.uri.query().and_then(|query| query.strip_prefix("lang=")).map(str::to_owned)
    }

    async fn admit_by_link(
        &self,
        token: &str,
        admits: LinkAdmits,
        _: &Parts,
    ) -> Result<Option<ClientAdmission>, HostError> {
        Ok(match (token, admits) {
            ("good", LinkAdmits::Here) => {
                Some(ClientAdmission::Admitted { until: UnixSeconds::new(1_796_021_100).unwrap() })
            }
            ("good", LinkAdmits::Refused) => Some(ClientAdmission::TooMany { retry_after: 600 }),
            _ => None,
        })
    }
}

/// Everything a test runs on.
pub(crate) struct Site {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) service: SelfService<TestHost>,
    /// Keeps the store.
    _world: World,
}

pub(crate) fn slots() -> Vec<SlotKind> {
    [keywright_twofactor::SLOT_KINDS, keywright_confirm::SLOT_KINDS].concat()
}

pub(crate) async fn site() -> Site {
    site_below("/").await
}

pub(crate) async fn site_below(base: &'static str) -> Site {
    let world = World::builder().slots(&slots()).build().await;
    let host = Arc::new(TestHost {
        driver: world.driver.clone(),
        account: world.account.clone(),
        performed: Mutex::default(),
        ended: AtomicU32::default(),
        address: AtomicBool::default(),
        busy: AtomicBool::default(),
        browsers: Mutex::default(),
        framed: AtomicBool::default(),
    });
    let policy = SelfServicePolicy::builder("Example <Mail>").base(base).build().unwrap();
    let service = SelfService::new(world.driver.clone(), Arc::clone(&host), policy).unwrap();
    Site { clock: Arc::clone(&world.clock), host, service, _world: world }
}

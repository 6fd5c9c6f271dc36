//! A host with one password for everybody, whose cookie names the account and the session.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use http::request::Parts;
use keywright_confirm::{Action, Confirmed, MailedCode};
use keywright_core::{Client, ClientAdmission, ManualClock, SecretString, SessionId, UnixSeconds};
use keywright_selfservice::queue::Requester;
use keywright_selfservice::{
    Caller, ConfirmStyle, Frame, Host, HostAction, HostError, LinkAdmits, OwnerAction, PendingAddress,
    RememberedBrowser, SelfService, SelfServicePolicy,
};
use keywright_store::{Driver, SlotKind};
use keywright_testing::World;
use keywright_twofactor::{
    AttestedEnrolment, AttestedMethod, CHANGE_FACTORS, DeviceId, EnrolmentStart, FactorChange, Method, Rule,
    StepUpPolicy, Strength, TwoFactor, TwoFactorPolicy,
};

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
    /// The address to which codes are mailed, if the host mails any.
    pub(crate) mail_address: Mutex<Option<String>>,
    /// The codes that were mailed.
    pub(crate) mailed: Mutex<Vec<String>>,
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

    async fn mail_address(&self, _: &Caller) -> Result<Option<String>, HostError> {
        Ok(self.mail_address.lock().unwrap().clone())
    }

    async fn mail_code(&self, _: &Caller, code: &MailedCode) -> Result<(), HostError> {
        self.mailed.lock().unwrap().push(code.expose().to_owned());
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
    /// The library as the host uses it, beside the pages.
    pub(crate) two_factor: TwoFactor,
    pub(crate) world: World,
}

/// A key that the host checks with a library of its own.
pub(crate) const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);

impl Site {
    /// Lets the host enrol a passkey as the first factor. Returns its id and the recovery codes.
    pub(crate) async fn enrol_passkey(&self, name: &str) -> (DeviceId, Vec<String>) {
        let (account, session) = (&self.world.account, SessionId::new("one"));
        let change = FactorChange::first_factor(account.clone(), session);
        let EnrolmentStart::Begun(challenge) =
            self.two_factor.begin_attested(change, PASSKEY, name, None).await.unwrap()
        else {
            panic!("full")
        };
        let (bytes, client) = (challenge.as_bytes(), Client::unknown());
        let confirmed = self.two_factor.confirm_attested(account, session, bytes, b"key", client).await.unwrap();
        let AttestedEnrolment::Active { device, recovery_codes: Some(codes) } = confirmed else { panic!("no") };
        (device, codes.iter().map(str::to_owned).collect())
    }

    /// Requires mailed codes of the account. Where `mails`, the host can send them.
    pub(crate) async fn require_mail(&self, mails: bool) {
        let change = FactorChange::first_factor(self.world.account.clone(), SessionId::new("one"));
        assert!(self.two_factor.set_email(change, true).await.unwrap());
        *self.host.mail_address.lock().unwrap() = mails.then(|| "eve+<b>@example.org".to_owned());
    }

    /// Returns the code of the newest mail.
    pub(crate) fn mailed(&self) -> String {
        self.host.mailed.lock().unwrap().last().unwrap().clone()
    }
}

/// A policy that knows passkeys, and accepts a mailed code for a change of factors where nothing
/// stronger is enrolled.
pub(crate) fn with_mail() -> TwoFactorPolicy {
    let methods = [Method::Attested(PASSKEY), Method::Totp, Method::Recovery, Method::Mailed, Method::Password];
    let step_up = StepUpPolicy::builder().attested(PASSKEY).rule(CHANGE_FACTORS, Rule::strongest_of(&methods));
    TwoFactorPolicy::builder().step_up(step_up.build().unwrap()).build().unwrap()
}

/// A policy that knows passkeys and accepts no mailed code.
pub(crate) fn without_mail() -> TwoFactorPolicy {
    let step_up = StepUpPolicy::builder().attested(PASSKEY).build().unwrap();
    TwoFactorPolicy::builder().step_up(step_up).build().unwrap()
}

pub(crate) fn slots() -> Vec<SlotKind> {
    [keywright_twofactor::SLOT_KINDS, keywright_confirm::SLOT_KINDS].concat()
}

pub(crate) async fn site() -> Site {
    site_below("/").await
}

pub(crate) async fn site_below(base: &'static str) -> Site {
    site_with(base, without_mail()).await
}

pub(crate) async fn site_with(base: &'static str, two_factor: TwoFactorPolicy) -> Site {
    let world = World::builder().slots(&slots()).comparing().build().await;
    let host = Arc::new(TestHost {
        driver: world.driver.clone(),
        account: world.account.clone(),
        performed: Mutex::default(),
        ended: AtomicU32::default(),
        address: AtomicBool::default(),
        busy: AtomicBool::default(),
        browsers: Mutex::default(),
        mail_address: Mutex::default(),
        mailed: Mutex::default(),
        framed: AtomicBool::default(),
    });
    let policy =
        SelfServicePolicy::builder("Example <Mail>").base(base).two_factor(two_factor.clone()).build().unwrap();
    let service = SelfService::new(world.driver.clone(), Arc::clone(&host), policy).unwrap();
    let two_factor = TwoFactor::new(world.driver.clone(), two_factor).unwrap();
    Site { clock: Arc::clone(&world.clock), host, service, two_factor, world }
}

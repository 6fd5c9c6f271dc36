//! What a server can choose.

use keywright_confirm::ConfirmPolicy;
use keywright_twofactor::{TwoFactorPolicy, TwoFactorPolicyError};

use crate::texts::{English, German, Texts};

/// The most bytes of a form or of a JSON body. The longest is the form that downloads recovery
/// codes.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// The events on the overview.
pub(crate) const ACTIVITY_SHORT: u32 = 6;

/// The events on the page of all activity, by default.
const ACTIVITY: u32 = 100;

/// How the pages look and where they are.
#[derive(Debug)]
pub struct SelfServicePolicy {
    pub(crate) base: &'static str,
    pub(crate) login_path: &'static str,
    pub(crate) service: String,
    pub(crate) style: String,
    pub(crate) activity: u32,
    pub(crate) languages: Vec<Box<dyn Texts>>,
    pub(crate) two_factor: TwoFactorPolicy,
    pub(crate) confirm: ConfirmPolicy,
}

impl SelfServicePolicy {
    /// Returns a builder. `service` is the name of the server, which the pages and authenticator
    /// apps show.
    pub fn builder(service: impl Into<String>) -> SelfServicePolicyBuilder {
        SelfServicePolicyBuilder {
            policy: Self {
                base: "/",
                login_path: "/login",
                service: service.into(),
                style: String::new(),
                activity: ACTIVITY,
                languages: vec![Box::new(English), Box::new(German)],
                two_factor: TwoFactorPolicy::default(),
                confirm: ConfirmPolicy::default(),
            },
        }
    }
}

/// Builds a [`SelfServicePolicy`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct SelfServicePolicyBuilder {
    policy: SelfServicePolicy,
}

impl SelfServicePolicyBuilder {
    /// Sets the path below which the pages are, with a slash at both ends. The default is `/`.
    pub const fn base(mut self, base: &'static str) -> Self {
        self.policy.base = base;
        self
    }

    /// Sets the path of the host's log-in page, to which a request without login is redirected. The
    /// default is `/login`.
    pub const fn login_path(mut self, path: &'static str) -> Self {
        self.policy.login_path = path;
        self
    }

    /// Appends rules to the stylesheet. Setting variables changes the colours, the font and the
    /// corners: `:root { --accent: #7c3aed; --radius: 4px }`.
    pub fn style(mut self, css: impl Into<String>) -> Self {
        self.policy.style = css.into();
        self
    }

    /// Sets how many events the page of all activity shows. The default is 100.
    pub const fn activity(mut self, events: u32) -> Self {
        self.policy.activity = events;
        self
    }

    /// Adds a language, or replaces the texts of one that is there.
    pub fn language(mut self, texts: impl Texts + 'static) -> Self {
        self.policy.languages.retain(|other| other.language() != texts.language());
        self.policy.languages.push(Box::new(texts));
        self
    }

    /// Sets the policy for authenticators and recovery codes. Its step-up policy must register the
    /// methods that the host checks itself, as elsewhere in the server. Its rule for
    /// [`CHANGE_FACTORS`](keywright_twofactor::CHANGE_FACTORS) decides whether a mailed code is
    /// offered, where an account has nothing stronger.
    pub fn two_factor(mut self, policy: TwoFactorPolicy) -> Self {
        self.policy.two_factor = policy;
        self
    }

    /// Sets the policy for confirmations.
    pub fn confirm(mut self, policy: ConfirmPolicy) -> Self {
        self.policy.confirm = policy;
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    /// Returns [`SelfServicePolicyError`] if a path is not valid, or the service has no name.
    pub fn build(self) -> Result<SelfServicePolicy, SelfServicePolicyError> {
        let policy = self.policy;
        if !policy.base.starts_with('/') || !policy.base.ends_with('/') || !is_path(policy.base) {
            return Err(SelfServicePolicyError::Base);
        }
        if !policy.login_path.starts_with('/') || policy.login_path.starts_with("//") || !is_path(policy.login_path) {
            return Err(SelfServicePolicyError::LoginPath);
        }
        // A colon would end the issuer in the label of an authenticator.
        if policy.service.trim().is_empty() || policy.service.contains(':') {
            return Err(SelfServicePolicyError::Service);
        }
        Ok(policy)
    }
}

fn is_path(text: &str) -> bool {
    !text.contains("//") && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte))
}

/// Why a [`SelfServicePolicy`] or the service was not built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelfServicePolicyError {
    /// The base path is not valid.
    #[error("`base` must be a path of plain segments that begins and ends with a slash")]
    Base,
    /// The path of the log-in page is not valid.
    #[error("`login_path` must be a path of plain segments that begins with a slash")]
    LoginPath,
    /// The name of the service is empty or contains a colon.
    #[error("the service needs a name without a colon")]
    Service,
    /// The codes of the two-factor policy are too easy to guess under the server's ledger policy.
    #[error(transparent)]
    TwoFactor(#[from] TwoFactorPolicyError),
}

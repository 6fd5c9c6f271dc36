//! What an endpoint receives.

use std::sync::Arc;

use http::request::Parts;
use keywright_confirm::Confirmations;
use keywright_core::{IndexKey, SessionId};
use keywright_store::{Draft, Driver, StepError};
use keywright_twofactor::TwoFactor;
use subtle::ConstantTimeEq;

use crate::answer::Failure;
use crate::host::{Caller, Host};
use crate::html::view::View;
use crate::policy::{SelfServicePolicy, SelfServicePolicyError};
use crate::request::Form;
use crate::texts::{self, Texts};

/// The purpose of the index key that authenticates forms (`docs/security.md` § 1).
const FORM_PURPOSE: &str = "selfservice-form";

/// Everything that requests share.
pub(crate) struct Context<H> {
    pub(crate) driver: Driver,
    pub(crate) host: Arc<H>,
    pub(crate) policy: SelfServicePolicy,
    pub(crate) two_factor: TwoFactor,
    pub(crate) confirmations: Confirmations,
    form_key: IndexKey,
}

/// A request of an owner who is logged in.
pub(crate) struct Call<'c> {
    pub(crate) head: &'c Parts,
    pub(crate) form: &'c Form,
    /// The segment of the path that varies.
    pub(crate) segment: &'c str,
    pub(crate) caller: &'c Caller,
    pub(crate) view: &'c View<'c>,
}

impl<H: Host> Context<H> {
    pub(crate) fn new(driver: Driver, host: Arc<H>, policy: SelfServicePolicy) -> Result<Self, SelfServicePolicyError> {
        let two_factor = TwoFactor::new(driver.clone(), policy.two_factor.clone())?;
        let confirmations = Confirmations::new(driver.clone(), policy.confirm.clone());
        let form_key = driver.keyring().index(FORM_PURPOSE);
        let driver = driver.named("selfservice");
        Ok(Self { driver, host, policy, two_factor, confirmations, form_key })
    }

    /// Returns the texts in the language of a request.
    pub(crate) fn texts(&self, head: &Parts) -> &dyn Texts {
        if let Some(language) = self.host.language(head)
            && let Some(texts) = self.policy.languages.iter().find(|texts| texts.language() == language)
        {
            return &**texts;
        }
        let accepted = head.headers.get(http::header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        texts::preferred(&self.policy.languages, accepted.unwrap_or_default())
    }

    /// Returns the view of a request.
    pub(crate) fn view<'v>(&'v self, head: &Parts, caller: Option<&'v Caller>) -> View<'v> {
        let token = caller.map(|caller| self.form_token(caller.session)).unwrap_or_default();
        View { texts: self.texts(head), policy: &self.policy, caller, token }
    }

    /// Returns the token that every form of a session contains.
    pub(crate) fn form_token(&self, session: SessionId) -> String {
        hex::encode(self.form_key.tag(&[session.as_bytes()]))
    }

    /// Whether a token is that of a session.
    pub(crate) fn is_form_token(&self, session: SessionId, token: &str) -> bool {
        self.form_token(session).as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// Lets the caller's session stay after an act of the caller that began a credential epoch, and
    /// lets all others end. `None` stands for an act that began none.
    pub(crate) async fn keep_session(&self, caller: &Caller, begun: Option<u64>) -> Result<(), Failure> {
        match begun {
            Some(epoch) => Ok(self.host.end_other_sessions(caller, epoch).await?),
            None => Ok(()),
        }
    }
}

/// Runs a step, and returns with its result the credential epoch that it has begun, if it has.
pub(crate) fn begun_by<T>(
    draft: &mut Draft<'_>,
    step: impl FnOnce(&mut Draft<'_>) -> Result<T, StepError>,
) -> Result<(T, Option<u64>), StepError> {
    let before = draft.root()?.epochs().credential;
    let result = step(draft)?;
    let after = draft.root()?.epochs().credential;
    Ok((result, (before != after).then_some(after)))
}

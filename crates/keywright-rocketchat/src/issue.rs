//! What follows a log-in that is proven: the host issues a token, and the answer shows it.

use keywright_core::{AccountId, SecretString};
use keywright_store::due::DUE;
use keywright_store::{Draft, Epochs, Partition, StepError, TransactError};
use keywright_twofactor::SLOTS;
use serde_json::{Value, json};

use crate::answer::Failure;
use crate::context::{Context, has_due};
use crate::error::ApiError;
use crate::host::{EndLogins, Host};
use crate::user::Profile;

/// A login that was issued.
pub(crate) struct Issued {
    pub(crate) token: SecretString,
    pub(crate) profile: Profile,
    pub(crate) enrolled: Shown,
}

/// What is shown of an account's second factors.
pub(crate) struct Shown {
    totp: bool,
    email: bool,
}

/// Has the host issue a token for an account that has proven itself in these epochs.
///
/// Whatever ends logins moves an epoch or leaves work due first, and has the host end the tokens
/// then. A token that was issued before either is ended by that work; one that was issued after it
/// is found here, ended and never shown. So no log-in outlives an act that ended all of them.
pub(crate) async fn issue<H: Host>(
    cx: &Context<H>,
    account: &AccountId,
    epochs: Epochs,
    gone: fn() -> ApiError,
) -> Result<Issued, Failure> {
    let profile = cx.host.profile(account).await?.filter(|profile| profile.active);
    let Some(profile) = profile else { return Err(gone().into()) };
    let issued = cx.host.issue_login(account).await?;
    let look = |draft: &mut Draft<'_>| {
        let stands = !has_due(draft)? && draft.root()?.epochs() == epochs;
        Ok((stands, Shown::of(cx, draft)?))
    };
    let slots = [SLOTS, &[DUE.name()]].concat();
    let failure = match cx.driver.observe(&Partition::account(account), &slots, look).await {
        Ok((true, enrolled)) => return Ok(Issued { token: issued.token, profile, enrolled }),
        Ok((false, _)) => TransactError::Busy.into(),
        Err(error) => Failure::from(error),
    };
    if let Err(error) = cx.host.end_logins(account, &EndLogins::Only(issued.id)).await {
        // Nobody has seen the token.
        tracing::error!(error = &error as &dyn std::error::Error, "a token that nobody has is not ended");
    }
    Err(failure)
}

impl Shown {
    /// Returns what is enrolled, for a login that is still valid.
    pub(crate) fn of<H: Host>(cx: &Context<H>, draft: &mut Draft<'_>) -> Result<Self, StepError> {
        let enrolled = cx.factors.enrolled_in(draft)?;
        Ok(Self { totp: enrolled.has_totp(), email: enrolled.email })
    }
}

/// Returns what a caller sees of itself (protocol § 15). It holds no secret and no digest.
pub(crate) fn me(profile: &Profile, enrolled: &Shown) -> Value {
    let emails: Vec<Value> =
        profile.emails.iter().map(|(address, verified)| json!({"address": address, "verified": verified})).collect();
    json!({
        "_id": profile.user_id,
        "name": profile.name,
        "username": profile.username,
        "emails": emails,
        "active": profile.active,
        "roles": profile.roles,
        "services": {"totp": {"enabled": enrolled.totp}, "email2fa": {"enabled": enrolled.email}},
    })
}

/// Returns the body of a log-in.
pub(crate) fn logged_in(token: &SecretString, profile: &Profile, enrolled: &Shown) -> Value {
    let data = json!({"userId": profile.user_id, "authToken": token.expose(), "me": me(profile, enrolled)});
    json!({"status": "success", "data": data})
}

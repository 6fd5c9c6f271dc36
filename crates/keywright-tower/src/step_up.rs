//! Step-up of one request, whatever framework received it.

use http::HeaderName;
use keywright_core::{AccountId, Client, SessionId};
use keywright_twofactor::{Demand, StepUp, TwoFactor, VerifyOutcome};

use crate::answer;
use crate::proof::{StepUpAction, StepUpFor};
use crate::refused::Refused;

/// The header in which a client sends a time-based or a recovery code, unless
/// [`StepUpLayer::header`](crate::StepUpLayer::header) names another one.
pub const SECOND_FACTOR: HeaderName = HeaderName::from_static("x-second-factor");

/// The longest code that is looked at, in bytes. The longest recovery code has 36 characters, and a
/// user may type blanks and hyphens.
pub(crate) const MAX_CODE_BYTES: usize = 128;

/// Who sends a request, as the host's own session middleware knows it.
#[derive(Debug, Clone)]
pub struct Caller {
    account: AccountId,
    session: SessionId,
    client: Client,
    password: bool,
}

impl Caller {
    /// Creates a caller. `session` identifies the session in every request, and `client` the sender
    /// to the guess ledger: by the credential of the request, or else by its network.
    #[must_use]
    pub const fn new(account: AccountId, session: SessionId, client: Client) -> Self {
        Self { account, session, client, password: false }
    }

    /// States that the account has a login password that the host can check, so that `password` is
    /// listed where it authorizes the action.
    #[must_use]
    pub const fn with_password(mut self) -> Self {
        self.password = true;
        self
    }

    /// Returns the account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the session of the request.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Returns the sender of the request.
    #[must_use]
    pub const fn client(&self) -> Client {
        self.client
    }
}

/// Demands a step-up for the action `A` of one request, in any framework. `code` is what the request
/// has in the header [`SECOND_FACTOR`]. Under tower and axum, [`StepUpLayer`](crate::StepUpLayer)
/// does the same in front of the handler.
///
/// Of any number of requests with the same code, one gets the proof. Pass it by value to the function
/// that performs the action.
///
/// ```
/// use keywright_core::ActionName;
/// use keywright_tower::{Caller, Refused, StepUpAction, StepUpFor, step_up};
/// use keywright_twofactor::TwoFactor;
///
/// struct MakeApiKey;
/// impl StepUpAction for MakeApiKey {
///     const ACTION: ActionName = ActionName::new("api-key.make");
/// }
///
/// fn make(proof: StepUpFor<MakeApiKey>) -> String {
///     format!("a key for {}", proof.into_proof().account())
/// }
///
/// async fn handler(two_factor: &TwoFactor, caller: &Caller, header: Option<&str>) -> Result<String, Refused> {
///     Ok(make(step_up(two_factor, caller, header).await?))
/// }
/// ```
///
/// # Errors
/// Returns a [`Refused`] as the [table](crate#answers) has it: if no code was sent and the session
/// remembers no proof, if the code is wrong, if guesses are paused, or if the store fails.
pub async fn step_up<A: StepUpAction>(
    two_factor: &TwoFactor,
    caller: &Caller,
    code: Option<&str>,
) -> Result<StepUpFor<A>, Refused> {
    let sent = match code {
        None => Sent::Nothing,
        Some(code) if code.len() > MAX_CODE_BYTES => Sent::Malformed,
        Some(code) => Sent::Code(code),
    };
    prove(two_factor, caller, sent, &SECOND_FACTOR).await
}

/// What a request has in the header of the code.
pub(crate) enum Sent<'a> {
    Nothing,
    Code(&'a str),
    Malformed,
}

/// Returns the proof of a request, or the answer that refuses it. The answer names the header.
pub(crate) async fn prove<A: StepUpAction>(
    two_factor: &TwoFactor,
    caller: &Caller,
    sent: Sent<'_>,
    header: &HeaderName,
) -> Result<StepUpFor<A>, Refused> {
    let action = A::ACTION;
    let code = match sent {
        Sent::Code(code) => code,
        Sent::Malformed => return Err(answer::malformed(&action)),
        Sent::Nothing => return demand::<A>(two_factor, caller, "step_up_required", header).await.map(StepUpFor::new),
    };
    let Caller { account, session, client, .. } = caller;
    let verdict = two_factor.step_up_code(account, &action, *session, code, *client).await;
    match verdict.map_err(|error| answer::unavailable(&action, error))? {
        VerifyOutcome::Granted(proof) => Ok(StepUpFor::new(proof)),
        VerifyOutcome::Denied(_) => Err(refuse::<A>(two_factor, caller, "step_up_denied", header).await),
        VerifyOutcome::Refused(refusal) => Err(answer::paused(&action, &refusal)),
        VerifyOutcome::Malformed => Err(answer::malformed(&action)),
        VerifyOutcome::NotEnrolled => Err(refuse::<A>(two_factor, caller, "step_up_required", header).await),
    }
}

/// Returns a proof that the session remembers, or the answer that says what is required.
async fn demand<A: StepUpAction>(
    two_factor: &TwoFactor,
    caller: &Caller,
    error: &'static str,
    header: &HeaderName,
) -> Result<StepUp, Refused> {
    let action = A::ACTION;
    let Caller { account, session, password, .. } = caller;
    let demand = two_factor.demand(account, &action, *session, *password).await;
    match demand.map_err(|error| answer::unavailable(&action, error))? {
        Demand::Remembered(proof) => Ok(proof),
        Demand::Required(methods) => Err(answer::required(error, &action, &methods, header)),
        Demand::NothingEnrolled => Err(answer::nothing_enrolled(&action)),
    }
}

/// Returns the answer to a code that authorizes nothing. A wrong code is refused even if the session
/// remembers a proof: the client meant to prove itself, and failed.
async fn refuse<A: StepUpAction>(
    two_factor: &TwoFactor,
    caller: &Caller,
    error: &'static str,
    header: &HeaderName,
) -> Refused {
    match demand::<A>(two_factor, caller, error, header).await {
        Err(refused) => refused,
        Ok(_) => answer::required(error, &A::ACTION, &[], header),
    }
}

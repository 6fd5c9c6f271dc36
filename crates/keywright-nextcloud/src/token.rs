//! Two-factor tokens (protocol § 6): what `session/request` lists and `session/open` checks.

use keywright_core::{Charge, Client, Purpose, Refusal};
use keywright_store::{Draft, Judged, StepError, Tentative};
use keywright_twofactor::{Method, Proven, TwoFactorSteps, VerifyOutcome};
use serde_json::{Value, json};

use crate::body::{Mistyped, Params};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::guard::denied;
use crate::host::Host;
use crate::request::member;

/// The ids of the tokens that this crate offers.
const TOTP: &str = "totp";
const BACKUP: &str = "backup_codes";
/// The purpose that a token is a proof for.
const PURPOSE: Purpose = Purpose::new("nextcloud/session/open");

/// The tokens of a request. They are checked only if the account requires one.
pub(crate) enum Tokens<'p> {
    None,
    /// A token is not a string.
    Mistyped,
    /// A token has an id that was never offered.
    Unknown,
    Given(Given<'p>),
}

/// Tokens of kinds that are offered; at least one.
#[derive(Clone, Copy)]
pub(crate) struct Given<'p> {
    totp: Option<&'p str>,
    backup: Option<&'p str>,
}

impl<'p> Tokens<'p> {
    pub(crate) fn read(params: &'p Params) -> Result<Self, Mistyped> {
        let members = params.object(member::TOKEN)?;
        let (mut totp, mut backup) = (None, None);
        if members.is_empty() {
            return Ok(Self::None);
        }
        for (id, value) in members {
            let Some(text) = value.as_str() else { return Ok(Self::Mistyped) };
            match id {
                TOTP => totp = Some(text),
                BACKUP => backup = Some(text),
                _ => return Ok(Self::Unknown),
            }
        }
        Ok(Self::Given(Given { totp, backup }))
    }
}

/// Returns what an account can be required to prove beside its challenge, or `None` for one without
/// a second factor that this protocol requires. For a passkey, which no client can show, it is a
/// recovery code, even if none is left: nobody passes then.
pub(crate) fn offered<H: Host>(cx: &Context<H>, draft: &mut Draft<'_>) -> Result<Option<Value>, StepError> {
    let enrolled = cx.factors.required_in(draft)?;
    if !enrolled.has_factor() {
        return Ok(None);
    }
    let entry = |id, label, description| json!({"type": "user-token", "id": id, "label": label, "description": description, "request": false});
    let totp = entry(TOTP, "Authenticator app", "The code that your authenticator app shows now");
    let backup = || entry(BACKUP, "Recovery code", "One of your recovery codes; each works once");
    let totp = enrolled.has_totp().then_some(totp);
    let backup = (totp.is_none() || enrolled.recovery.is_some_and(|left| left > 0)).then(backup);
    Ok(Some(totp.into_iter().chain(backup).collect()))
}

/// Whether a provider is among those that [`offered`] names.
pub(crate) fn is_offered<H: Host>(cx: &Context<H>, draft: &mut Draft<'_>, provider: &str) -> Result<bool, StepError> {
    let offered = offered(cx, draft)?.unwrap_or_default();
    Ok(offered.as_array().is_some_and(|entries| entries.iter().any(|entry| entry["id"] == provider)))
}

/// Returns the tokens that must be checked, if any, or the answer if that is decided without
/// checking them. None of this is charged.
pub(crate) fn asked<'p, H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    tokens: &Tokens<'p>,
) -> Result<Result<Option<Given<'p>>, ApiError>, StepError> {
    if !cx.factors.required_in(draft)?.has_factor() {
        return Ok(Ok(None));
    }
    Ok(match tokens {
        Tokens::None if cx.policy.require_token => Err(ApiError::TOKEN_INVALID),
        Tokens::None => Ok(None),
        Tokens::Mistyped => Err(ApiError::BAD_REQUEST),
        Tokens::Unknown => Err(ApiError::TOKEN_FAILED),
        Tokens::Given(given) => Ok(Some(*given)),
    })
}

type Outcome = VerifyOutcome<Tentative<Proven>>;
type Step<'a, 's> = Box<dyn Fn(&mut Draft<'a>) -> Result<Outcome, StepError> + 's>;

/// Tokens that are all right; their writes are held back.
#[must_use = "a token that is not booked is not spent"]
pub(crate) struct Held<'a, 's> {
    factors: &'s TwoFactorSteps,
    client: Client,
    tokens: Vec<Judged<Outcome, Step<'a, 's>>>,
}

impl<'a> Held<'a, '_> {
    /// Spends the tokens. A recovery code is a way in where other clients have locked this client
    /// out of time-based codes: it admits the client there too (`docs/security.md` § 6).
    pub(crate) fn book(self, draft: &mut Draft<'a>) -> Result<(), StepError> {
        for judged in self.tokens {
            let VerifyOutcome::Granted(proof) = draft.stage(judged)? else {
                // `judge` keeps only granted ones, but the type has all outcomes.
                return Err(StepError::Misuse("a right token became wrong within one step"));
            };
            if proof.peek(draft)?.method() == Method::Recovery {
                self.factors.admit_totp_in(draft, &proof, self.client)?;
            }
        }
        Ok(())
    }
}

/// Whether the given tokens are well-formed codes.
fn are_codes<H: Host>(cx: &Context<H>, draft: &mut Draft<'_>, given: Given<'_>) -> Result<bool, StepError> {
    let enrolled = cx.factors.enrolled_in(draft)?;
    Ok(given.totp.is_none_or(|code| enrolled.is_form_of_totp(code))
        && given.backup.is_none_or(|code| enrolled.is_form_of_recovery(code)))
}

/// Returns the refusal of the given tokens that lasts longest, or `None` if none is refused or none
/// would be checked.
pub(crate) fn refusal<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    given: Given<'_>,
    client: Client,
) -> Result<Option<Refusal>, StepError> {
    if !are_codes(cx, draft, given)? {
        return Ok(None);
    }
    let refusals = [
        given.totp.map(|_| cx.factors.totp_refused_in(draft, client)).transpose()?.flatten(),
        given.backup.map(|_| cx.factors.recovery_refused_in(draft, client)).transpose()?.flatten(),
    ];
    Ok(refusals.into_iter().flatten().max_by_key(Refusal::retry_after))
}

/// Checks every token given. All must be right; in a request with a wrong token, the right ones are
/// neither spent nor forgiven. If one is malformed or refused now, none of them is checked, so that
/// it cannot be used to test the others for free.
pub(crate) fn judge<'a, 's, H: Host>(
    cx: &'s Context<H>,
    caller: &Caller,
    draft: &mut Draft<'a>,
    given: Given<'s>,
    client: Client,
) -> Result<Result<Held<'a, 's>, ApiError>, StepError> {
    if !are_codes(cx, draft, given)? {
        return Ok(Err(ApiError::TOKEN_FAILED));
    }
    if let Some(refusal) = refusal(cx, draft, given, client)? {
        return Ok(Err(ApiError::refused(&refusal)));
    }
    let mut steps: Vec<Step<'a, 's>> = Vec::new();
    if let Some(code) = given.totp {
        steps.push(Box::new(move |draft| cx.factors.verify_totp_in(draft, code, &PURPOSE, client)));
    }
    if let Some(code) = given.backup {
        steps.push(Box::new(move |draft| cx.factors.verify_recovery_in(draft, code, &PURPOSE, client)));
    }
    let mut held = Vec::with_capacity(steps.len());
    for step in steps {
        held.push(draft.judge(step)?);
    }
    if held.iter().all(|judged| matches!(judged.outcome(), VerifyOutcome::Granted(_))) {
        return Ok(Ok(Held { factors: &cx.factors, client, tokens: held }));
    }
    let (mut charges, mut refused): (Vec<Charge>, _) = (Vec::new(), None);
    for judged in held {
        if matches!(judged.outcome(), VerifyOutcome::Granted(_)) {
            continue;
        }
        match draft.stage(judged)? {
            VerifyOutcome::Denied(denial) => charges.extend(denial.charge().cloned()),
            // Guesses that are being compared are in the way of a backup code. The other token was
            // looked at, so this must not be an error, which would charge nothing.
            VerifyOutcome::Refused(refusal) => refused = Some(refusal),
            // Malformed codes were answered above, in this draft, but the type has all outcomes.
            _ => return Err(StepError::Misuse("a code that is not refused was not looked at")),
        }
    }
    // Two wrong codes of one request are one failure of its app token.
    let longest = charges.iter().max_by_key(|charge| charge.next().map(Refusal::retry_after));
    match (longest, refused) {
        (Some(charge), _) => denied(draft, caller, charge, ApiError::TOKEN_FAILED).map(Err),
        (None, Some(refusal)) => Ok(Err(ApiError::refused(&refusal))),
        (None, None) => Ok(Err(ApiError::TOKEN_FAILED)),
    }
}

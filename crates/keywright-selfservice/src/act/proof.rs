//! The proof that a change of factors requires: the strongest that is enrolled and that these pages
//! can check, and otherwise the password.

use keywright_confirm::Confirmation;
use keywright_core::{Charge, Refusal};
use keywright_store::{Draft, SlotName};
use keywright_twofactor::{Attested, CHANGE_FACTORS, Demand, FactorChange, Method, SLOTS, StepUps, VerifyOutcome};

use super::mailed;
use super::password::{self, Checked};
use crate::answer::Failure;
use crate::context::Context;
use crate::host::{Caller, Host};

/// What a form has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: the session has just proven itself.
    Nothing,
    /// A time-based or a recovery code.
    Code,
    /// A recovery code, because the factor that is enrolled is one that the host checks.
    Recovery,
    /// A mailed code.
    Mailed,
    /// The login password.
    Password,
    /// Something that these pages cannot check.
    Impossible,
}

/// Why a proof was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The field is empty.
    Missing,
    /// The text is no code.
    Malformed,
    /// It is wrong, and the next attempt must wait for so many seconds, if at all.
    Wrong { wait: Option<u64> },
    /// It was not checked. The seconds to wait, or `None` if only an act helps.
    Wait(Option<u64>),
    /// Nothing that these pages can check authorizes the change.
    Impossible,
}

impl Refused {
    pub(crate) fn of_refusal(refusal: &Refusal) -> Self {
        Self::Wait((!refusal.is_locked()).then(|| refusal.retry_after()))
    }

    pub(crate) fn of_charge(charge: Option<&Charge>) -> Self {
        match charge.and_then(Charge::next) {
            Some(next) if next.is_locked() => Self::Wait(None),
            next => Self::Wrong { wait: next.map(Refusal::retry_after) },
        }
    }

    /// Returns the seconds for `Retry-After`.
    pub(crate) const fn retry_after(self) -> Option<u64> {
        match self {
            Self::Wrong { wait } => wait,
            Self::Wait(Some(seconds)) => Some(seconds),
            Self::Wait(None) => Some(86_400),
            Self::Missing | Self::Malformed | Self::Impossible => None,
        }
    }
}

/// What a form for a change of factors has to ask for.
pub(crate) struct Needed {
    pub(crate) need: Need,
    /// The address to which a code can be mailed, if one is asked for.
    pub(crate) address: Option<String>,
}

impl Needed {
    const fn of(need: Need) -> Self {
        Self { need, address: None }
    }
}

/// Returns what a form for a change of factors has to ask for.
pub(crate) async fn need<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Needed, Failure> {
    match cx.two_factor.demand(&caller.account, &CHANGE_FACTORS, caller.session, true).await? {
        Demand::Remembered(_) => Ok(Needed::of(Need::Nothing)),
        Demand::Required(methods) => asked(cx, caller, &methods).await,
        Demand::NothingEnrolled => Ok(Needed::of(Need::Impossible)),
    }
}

/// Returns which of these methods the pages ask for. All of them are equally strong, except for
/// recovery codes.
async fn asked<H: Host>(cx: &Context<H>, caller: &Caller, methods: &[Method]) -> Result<Needed, Failure> {
    if methods.contains(&Method::Totp) {
        return Ok(Needed::of(Need::Code));
    }
    if methods.contains(&Method::Recovery) {
        return Ok(Needed::of(Need::Recovery));
    }
    if methods.contains(&Method::Mailed)
        && let Some(address) = cx.host.mail_address(caller).await?
    {
        return Ok(Needed { need: Need::Mailed, address: Some(address) });
    }
    let need = if methods.contains(&Method::Password) { Need::Password } else { Need::Impossible };
    Ok(Needed::of(need))
}

/// Checks what was typed, and returns the authorization to change factors.
pub(crate) async fn prove<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    typed: &str,
) -> Result<Result<FactorChange, Refused>, Failure> {
    let methods = match cx.two_factor.demand(&caller.account, &CHANGE_FACTORS, caller.session, true).await? {
        Demand::Remembered(proof) => return Ok(Ok(proof.into())),
        Demand::Required(methods) => methods,
        Demand::NothingEnrolled => return Ok(Err(Refused::Impossible)),
    };
    match asked(cx, caller, &methods).await?.need {
        Need::Nothing | Need::Impossible => Ok(Err(Refused::Impossible)),
        _ if typed.trim().is_empty() => Ok(Err(Refused::Missing)),
        Need::Code | Need::Recovery => by_code(cx, caller, typed).await,
        Need::Mailed => Ok(match mailed::prove(cx, caller, typed).await? {
            Confirmation::Granted(proof) => Ok(proof.into()),
            Confirmation::Denied(denial) => Err(Refused::of_charge(denial.charge())),
            Confirmation::Refused(refusal) => Err(Refused::of_refusal(&refusal)),
        }),
        Need::Password => by_password(cx, caller, typed).await,
    }
}

async fn by_code<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    typed: &str,
) -> Result<Result<FactorChange, Refused>, Failure> {
    let (two_factor, session, client) = (&cx.two_factor, caller.session, caller.client);
    let verdict = two_factor.step_up_code(&caller.account, &CHANGE_FACTORS, session, typed, client).await?;
    Ok(match verdict {
        VerifyOutcome::Granted(proof) => Ok(proof.into()),
        VerifyOutcome::Denied(denial) => Err(Refused::of_charge(denial.charge())),
        VerifyOutcome::Refused(refusal) => Err(Refused::of_refusal(&refusal)),
        VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled => Err(Refused::Malformed),
    })
}

async fn by_password<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    typed: &str,
) -> Result<Result<FactorChange, Refused>, Failure> {
    let steps = cx.two_factor.steps();
    let slots: Vec<SlotName> = SLOTS.iter().copied().chain([StepUps::slot(caller.session)]).collect();
    let grant =
        |draft: &mut Draft<'_>| steps.step_up_attested_in(draft, &CHANGE_FACTORS, caller.session, Attested::Password);
    Ok(match password::check(cx, caller, typed, &slots, grant).await? {
        Checked::Right(Some(proof)) => Ok(proof.into()),
        // A factor was enrolled in the meantime.
        Checked::Right(None) => return Err(Failure::Stale),
        Checked::Wrong(charge) => Err(Refused::of_charge(charge.as_ref())),
        Checked::Refused(refusal) => Err(Refused::of_refusal(&refusal)),
    })
}

//! What an account has enrolled, which of it an act requires, and the check of a code that may be
//! of two kinds.

use keywright_core::{Refusal, SecretString};
use keywright_store::due::{self, NewTask};
use keywright_store::{Draft, StepError, Tentative};
use keywright_twofactor::{Method, Proven, VerifyOutcome};

use crate::act::Act;
use crate::context::{Caller, Context, END_LOGINS, Prover};
use crate::error::Details;
use crate::events::OTHER_LOGINS_ENDED;
use crate::host::{Endpoint, Host};
use crate::method::{Demand, Factor};
use crate::policy::RocketChatPolicy;
use crate::user::User;

/// What the account has enrolled, as far as an act considers it.
pub(crate) struct Enrolment {
    pub(crate) demand: Demand,
    /// The methods that can be requested, in the protocol's order.
    methods: Vec<Factor>,
    pub(crate) recovery_codes: Option<u8>,
    /// Something that the act considers is enrolled, and none of it can be requested, so nobody
    /// passes.
    pub(crate) is_stuck: bool,
}

impl Enrolment {
    /// Returns the client's wish if it is enrolled, else the first method that is enrolled, else
    /// the password. So `password` never replaces an enrolled method, and naming `email` mails
    /// nothing where it was never enrolled. For a change of factors there is no wish: the first
    /// method is the strongest, and a mailed code takes no device away.
    pub(crate) fn choose(&self, wish: Option<Factor>) -> Factor {
        let wish = wish.filter(|wish| self.demand == Demand::Offered && self.methods.contains(wish));
        wish.or_else(|| self.methods.first().copied()).unwrap_or(Factor::Password)
    }

    /// Whether a mailed code can be requested.
    pub(crate) fn has_email(&self) -> bool {
        self.methods.contains(&Factor::Email)
    }

    /// Returns the methods that a log-in can use, for the host.
    pub(crate) fn login_methods(&self) -> Vec<Method> {
        let method = |factor: &Factor| match factor {
            Factor::Totp => Method::Totp,
            Factor::Email => Method::Mailed,
            Factor::Password => Method::Password,
        };
        self.methods.iter().map(method).collect()
    }

    /// Returns the factor that a log-in requires, or `None` if the password is enough.
    pub(crate) fn of_login(&self, enabled: bool, wish: Option<Factor>) -> Option<Factor> {
        (enabled && !self.methods.is_empty()).then(|| self.choose(wish))
    }

    /// Whether nothing is required. `enabled` states whether two-factor is on.
    pub(crate) const fn is_free(&self, enabled: bool) -> bool {
        match self.demand {
            Demand::Offered => !enabled,
            Demand::Enrolled => !enabled && self.methods.is_empty(),
            Demand::ToAdd => false,
        }
    }

    /// Whether the act can be proven by the login password, where nothing is enrolled.
    pub(crate) fn takes_password(&self, policy: &RocketChatPolicy) -> bool {
        policy.password_fallback || self.demand == Demand::ToAdd
    }

    pub(crate) fn details(&self, method: Factor, user: &User) -> Details {
        let email = user.verified_emails.first().filter(|_| method == Factor::Email).cloned();
        Details { method, generated: false, email, expires: None, available: self.methods.clone() }
    }
}

pub(crate) fn enrolment<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    user: &User,
    demand: Demand,
) -> Result<Enrolment, StepError> {
    // A change of factors requires whatever the account has, so nobody enrols one past another.
    let enrolled = match demand {
        Demand::Offered => cx.factors.required_in(draft)?,
        Demand::Enrolled | Demand::ToAdd => cx.factors.enrolled_in(draft)?,
    };
    let recovery_codes = enrolled.recovery;
    let whatever_is_offered = demand != Demand::Offered;
    let mut methods = Vec::new();
    // Recovery codes without a device are rare, but they are a factor: a new set replaces them.
    // No client can show a passkey: the recovery code that stands in for it is typed under this
    // name, too.
    if (whatever_is_offered && (enrolled.has_factor() || recovery_codes.is_some_and(|left| left > 0)))
        || (cx.policy.by_totp && enrolled.has_factor())
    {
        methods.push(Factor::Totp);
    }
    // Beside a passkey a mailed code is too weak, and the recovery code has another name.
    let is_strong_enough = whatever_is_offered || !cx.policy.by_totp || enrolled.attested.is_empty();
    let by_email = whatever_is_offered || cx.policy.by_email;
    if by_email && is_strong_enough && enrolled.email && !user.verified_emails.is_empty() {
        methods.push(Factor::Email);
    }
    let is_stuck = whatever_is_offered && methods.is_empty() && enrolled.email;
    Ok(Enrolment { demand, methods, recovery_codes, is_stuck })
}

/// Checks a code that came under the name `totp`: a time-based or a recovery code, depending on
/// what the account has. If it has as many digits as one of the account's devices shows, it is a
/// time-based code; anything else is a recovery code, or malformed.
///
/// Where a device shows eight digits, eight digits can be both. They are then checked as a
/// time-based code first, whose wait holds for both; if they are neither, they are charged once, as
/// a time-based code. An unused recovery code passes without a charge.
///
/// A wait is reported before the code is checked (`docs/decisions.md` 27a); for a malformed code,
/// only if no code could pass. A recovery code is the way in for an owner whom other clients have
/// locked out of time-based codes: it admits this login there.
pub(crate) fn verify_code<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    prover: &Prover<'_>,
    code: &SecretString,
    endpoint: Endpoint,
    demand: Demand,
) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
    let (code, purpose) = (code.expose(), Act::purpose(endpoint));
    let client = prover.client(draft);
    let enrolled = cx.factors.enrolled_in(draft)?;
    // A change of the factors takes the strongest of them. No client of this protocol can show a
    // passkey, and of what it can show, only the recovery code stands in for one.
    let is_too_weak = demand != Demand::Offered && !enrolled.attested.is_empty();
    if is_too_weak || !enrolled.is_form_of_totp(code) {
        return match cx.factors.verify_recovery_in(draft, code, &purpose, client)? {
            VerifyOutcome::Granted(proof) => by_recovery(cx, draft, prover, proof),
            nothing @ (VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled) => {
                Ok(shut(cx, draft, prover, enrolled.recovery)?.map_or(nothing, VerifyOutcome::Refused))
            }
            verdict => Ok(verdict),
        };
    }
    let as_totp = draft.judge(|draft| cx.factors.verify_totp_in(draft, code, &purpose, client))?;
    if matches!(as_totp.outcome(), VerifyOutcome::Denied(denial) if denial.charge().is_some()) {
        let as_recovery = draft.judge(|draft| cx.factors.verify_recovery_in(draft, code, &purpose, client))?;
        if matches!(as_recovery.outcome(), VerifyOutcome::Granted(_)) {
            return match draft.stage(as_recovery)? {
                VerifyOutcome::Granted(proof) => by_recovery(cx, draft, prover, proof),
                verdict => Ok(verdict),
            };
        }
    }
    draft.stage(as_totp)
}

fn by_recovery<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    prover: &Prover<'_>,
    proof: Tentative<Proven>,
) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
    cx.factors.admit_totp_in(draft, &proof, prover.client(draft))?;
    Ok(VerifyOutcome::Granted(proof))
}

/// Returns the refusal of codes of both kinds, if both are refused: the one that ends first. A
/// client that was refused while one kind is open would never prompt for the recovery code that is
/// its way in. `recovery` is the number of unused recovery codes.
pub(crate) fn shut<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    prover: &Prover<'_>,
    recovery: Option<u8>,
) -> Result<Option<Refusal>, StepError> {
    let client = prover.client(draft);
    let Some(totp) = cx.factors.totp_refused_in(draft, client)? else { return Ok(None) };
    if recovery.unwrap_or(0) == 0 {
        return Ok(Some(totp));
    }
    let recovery = cx.factors.recovery_refused_in(draft, client)?;
    Ok(recovery.map(|recovery| if recovery.retry_after() < totp.retry_after() { recovery } else { totp }))
}

/// Makes it due that all other logins end, if the policy requires that after a change of factors.
/// The change moved an epoch.
pub(crate) fn end_other_logins_by_policy<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    caller: &Caller,
) -> Result<(), StepError> {
    if cx.policy.two_factor.ends_other_logins() { end_other_logins(draft, caller) } else { Ok(()) }
}

/// Makes it due that all other logins end, by the caller's own wish. The credential epoch moves, so
/// that none of them acts that was looked up before.
pub(crate) fn end_others_now(draft: &mut Draft<'_>, caller: &Caller) -> Result<(), StepError> {
    draft.move_credential_epoch()?;
    end_other_logins(draft, caller)
}

/// Makes it due that all other logins end, because a factor was added. That moved an epoch.
pub(crate) fn end_other_logins(draft: &mut Draft<'_>, caller: &Caller) -> Result<(), StepError> {
    due::add(draft, NewTask::new(END_LOGINS, caller.token.0.as_bytes().to_vec()))?;
    draft.event(&OTHER_LOGINS_ENDED);
    Ok(())
}

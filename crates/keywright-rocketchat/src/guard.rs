//! The second factor: which one a caller must prove, and what comes of it. The client wishes; the server chooses.

use keywright_confirm::{Action, Confirmation, MailedCode, Sending};
use keywright_core::{AccountId, Charge, DeviceTag, Door, EventKind, Refusal, SecretString, Strength};
use keywright_store::guess::{self, Guesser};
use keywright_store::{Draft, Partition, Receipt, Slot, StepError, Tentative};
use keywright_twofactor::{Proven, Verdict};
use zeroize::Zeroizing;

use crate::error::{ApiError, Complaint, Details, Wait};
use crate::host::{Endpoint, Host, Login, Mail, User};
use crate::mailed;
use crate::request::{SentCode, Target};
use crate::service::{Failure, Parts};

/// What is asked for, by the wire's names and in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    /// A time-based code or a recovery code.
    Totp,
    /// A mailed code.
    Email,
    /// The digest of the login password; only where nothing else is enrolled.
    Password,
}

impl Factor {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Email => "email",
            Self::Password => "password",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Totp, Self::Email, Self::Password].into_iter().find(|factor| factor.name() == name)
    }
}

/// What a caller proves a second factor for, whole: a code that was mailed for one act is void for any other.
#[derive(Clone)]
pub(crate) struct Act {
    pub(crate) endpoint: Endpoint,
    pub(crate) target: Target,
    canonical: String,
}

impl Act {
    pub(crate) fn new(endpoint: Endpoint, target: Target) -> Self {
        let canonical = target.canonical();
        Self { endpoint, target, canonical }
    }

    /// For the factors' own records and the security log.
    pub(crate) fn purpose(endpoint: Endpoint) -> String {
        format!("rocketchat.{}", endpoint.path())
    }
}

impl Action for Act {
    const NAME: &'static str = "rocketchat.second-factor";

    fn target(&self) -> &str {
        &self.canonical
    }

    fn parameters(&self) -> Vec<u8> {
        self.endpoint.path().into()
    }
}

/// That an account has proven what an act needs. Made here alone, not `Clone`; what acts takes account and act from it.
#[must_use = "a proof that nobody takes allows nothing"]
pub(crate) struct Authorized {
    account: AccountId,
    act: Act,
}

impl Authorized {
    pub(crate) fn into_parts(self) -> (AccountId, Act) {
        (self.account, self.act)
    }
}

/// When an act asks for a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Always: who has enrolled nothing proves the login password.
    Always,
    /// When a factor is active; with none there is nothing that the act could weaken.
    WhenActive,
}

/// A caller before an act.
pub(crate) struct Guard<'a, H> {
    pub(crate) parts: &'a Parts<H>,
    pub(crate) caller: &'a Login,
    pub(crate) sent: &'a SentCode,
    pub(crate) act: Act,
    pub(crate) demand: Demand,
}

/// What a step found.
enum Ruling<T> {
    Done(T),
    Refused(ApiError),
    /// A code was made: it is mailed after the commit.
    Mailed {
        mail: Tentative<MailedCode>,
        complaint: Complaint,
        details: Details,
    },
    /// A password was charged: the host is asked.
    Charged(Charge),
}

/// What the account has enrolled.
struct Enrolment {
    available: Vec<Factor>,
    recovery_codes: u8,
}

impl Enrolment {
    /// The wish, if it is enrolled; else the first that is; else the password. So `password` never replaces an enrolled
    /// one, and naming `email` mails nothing to who never enrolled it.
    fn choose(&self, wish: Option<Factor>) -> Factor {
        let wish = wish.filter(|wish| self.available.contains(wish));
        wish.or_else(|| self.available.first().copied()).unwrap_or(Factor::Password)
    }

    fn details(&self, method: Factor, user: &User) -> Details {
        let email = user.verified_emails.first().filter(|_| method == Factor::Email).cloned();
        Details { method, generated: false, email, expires: None, available: self.available.clone() }
    }
}

impl<H: Host> Guard<'_, H> {
    /// Lets the caller act, or refuses. `then` is the act, or what becomes of the proof: it runs in the very commit that
    /// spends the code, perhaps several times, and must be pure.
    pub(crate) async fn run<T: Send>(
        &self,
        slots: &[Slot],
        mut then: impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError> + Send,
    ) -> Result<Result<(T, Receipt), ApiError>, Failure> {
        let account = &self.caller.user.account;
        let slots: Vec<Slot> = [Slot::Factors, Slot::Recovery, Slot::Ledger, Slot::Confirmations]
            .into_iter()
            .chain([mailed::slot(self.parts, self.caller)])
            .chain(slots.iter().copied())
            .collect();
        let turn = self.parts.driver.turn(&Partition::account(account)).await?;
        let mut found = self.parts.step(&turn, account, &slots, |draft| self.judge(draft, &mut then)).await?;
        if let (Ruling::Charged(charge), _) = &found {
            let digest = self.digest().ok_or(StepError::Misuse("a password was charged without one"))?;
            let right = self.parts.host.check_password(account, &digest).await?;
            let settled =
                self.parts.step(&turn, account, &slots, |draft| self.settle(draft, charge, right, &mut then)).await?;
            found = settled;
        }
        // A mail server can be slow: others of the account are not held up.
        drop(turn);
        match found {
            (Ruling::Done(value), receipt) => Ok(Ok((value, receipt))),
            (Ruling::Refused(error), _) => Ok(Err(error)),
            (Ruling::Mailed { mail, complaint, details }, receipt) => {
                let code = mail.release(&receipt)?;
                Ok(Err(match send_code(self.parts, &self.caller.user, &code).await {
                    Ok(()) => ApiError::second_factor(complaint, &details),
                    Err(error) => error,
                }))
            }
            (Ruling::Charged(_), _) => Err(StepError::Misuse("a charge was not settled").into()),
        }
    }

    fn judge<T>(
        &self,
        draft: &mut Draft<'_>,
        then: &mut impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError>,
    ) -> Result<Ruling<T>, StepError> {
        if !self.parts.policy.enabled {
            return self.unproven(draft, then);
        }
        let enrolment = self.enrolment(draft)?;
        let ruling = match enrolment.choose(self.sent.method) {
            Factor::Totp => self.by_totp(draft, &enrolment)?,
            Factor::Email => self.by_email(draft, &enrolment)?,
            Factor::Password if self.demand == Demand::WhenActive => return self.unproven(draft, then),
            Factor::Password => self.by_password(draft, &enrolment)?,
        };
        Ok(match ruling {
            Ruling::Done(proof) => self.grant(draft, proof, then)?,
            Ruling::Refused(error) => Ruling::Refused(error),
            Ruling::Mailed { mail, complaint, details } => Ruling::Mailed { mail, complaint, details },
            Ruling::Charged(charge) => Ruling::Charged(charge),
        })
    }

    /// The second half for a password: the host has judged it, and the account may have enrolled something meanwhile.
    fn settle<T>(
        &self,
        draft: &mut Draft<'_>,
        charge: &Charge,
        right: bool,
        then: &mut impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError>,
    ) -> Result<Ruling<T>, StepError> {
        let enrolment = self.enrolment(draft)?;
        let method = enrolment.choose(None);
        if !right {
            guess::confirm_charge(draft, charge);
            return Ok(complain(Complaint::Invalid, &enrolment.details(method, &self.caller.user)));
        }
        guess::give_back(draft, &self.parts.policy.ledger, charge, charge.lane().tag())?;
        if method != Factor::Password {
            return Ok(complain(Complaint::Required, &enrolment.details(method, &self.caller.user)));
        }
        let proof = self.authorized();
        let proof = draft.tentative(proof);
        self.grant(draft, proof, then)
    }

    fn grant<T>(
        &self,
        draft: &mut Draft<'_>,
        proof: Tentative<Authorized>,
        then: &mut impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError>,
    ) -> Result<Ruling<T>, StepError> {
        draft.event(EventKind::StepUpGranted { action: Act::purpose(self.act.endpoint) });
        then(draft, proof).map(Ruling::Done)
    }

    /// Nothing to prove: two-factor is off, or nothing is active that the act could weaken.
    fn unproven<T>(
        &self,
        draft: &mut Draft<'_>,
        then: &mut impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError>,
    ) -> Result<Ruling<T>, StepError> {
        let proof = self.authorized();
        let proof = draft.tentative(proof);
        then(draft, proof).map(Ruling::Done)
    }

    fn authorized(&self) -> Authorized {
        Authorized { account: self.caller.user.account.clone(), act: self.act.clone() }
    }

    fn by_totp(
        &self,
        draft: &mut Draft<'_>,
        enrolment: &Enrolment,
    ) -> Result<Ruling<Tentative<Authorized>>, StepError> {
        let details = enrolment.details(Factor::Totp, &self.caller.user);
        let Some(code) = &self.sent.code else {
            return Ok(match self.shut(draft, enrolment)? {
                Some(seconds) => too_many(draft, seconds),
                None => complain(Complaint::Required, &details),
            });
        };
        Ok(match self.parts.verify_code(draft, self.caller, code, self.act.endpoint)? {
            Verdict::Granted(proof) => {
                let act = self.act.clone();
                Ruling::Done(proof.map(|proven| Authorized { account: proven.account().clone(), act }))
            }
            Verdict::Refused(refusal) => too_many(draft, refusal.retry_after()),
            // Wrong, used, malformed, none of the kind: one answer.
            _ => complain(Complaint::Invalid, &details),
        })
    }

    /// How long nobody can pass by a code: only if both doors are shut. One that is open must be told of, or a client
    /// would never ask for the recovery code that is the way out.
    fn shut(&self, draft: &mut Draft<'_>, enrolment: &Enrolment) -> Result<Option<u64>, StepError> {
        let tag = self.parts.tag(draft, self.caller)?;
        let stands = |refusal: &Refusal| !refusal.changed();
        let totp = self.parts.factors.totp_refusal_in(draft, tag)?.filter(stands).as_ref().map(Refusal::retry_after);
        if totp.is_none() || enrolment.recovery_codes == 0 {
            return Ok(totp);
        }
        let recovery = self.parts.factors.recovery_refusal_in(draft, tag)?.filter(stands);
        let recovery = recovery.as_ref().map(Refusal::retry_after);
        Ok(totp.and_then(|totp| recovery.map(|recovery| totp.min(recovery))))
    }

    fn by_email(
        &self,
        draft: &mut Draft<'_>,
        enrolment: &Enrolment,
    ) -> Result<Ruling<Tentative<Authorized>>, StepError> {
        let (parts, tag) = (self.parts, self.parts.tag(draft, self.caller)?);
        // A look does not begin a wait anew after the clock went back; the judgement of a code does.
        if let Some(refusal) = parts.confirmations.mailed_refusal_in(draft, tag)?.filter(|refusal| !refusal.changed()) {
            return Ok(too_many(draft, refusal.retry_after()));
        }
        let session = mailed::session(parts, self.caller);
        let mut details = enrolment.details(Factor::Email, &self.caller.user);
        details.expires = mailed::pending(draft, parts, self.caller, &self.act)?;
        if let Some(code) = &self.sent.code {
            let digits = digits_of(code);
            let act = self.act.clone();
            match parts.confirmations.confirm_mailed_in(draft, act, &session, &digits, tag)? {
                Confirmation::Granted(proof) => {
                    mailed::forget(draft, parts, self.caller)?;
                    return Ok(Ruling::Done(proof.map(|confirmed| {
                        let (account, act) = confirmed.into_parts();
                        Authorized { account, act }
                    })));
                }
                Confirmation::Denied(denial) if denial.was_last_try() => {
                    mailed::forget(draft, parts, self.caller)?;
                    return Ok(complain(Complaint::MaxAttempts, &details));
                }
                Confirmation::Refused(refusal) => return Ok(too_many(draft, refusal.retry_after())),
                _ => {}
            }
        }
        self.ask(draft, &session, details)
    }

    /// No code was right: says that one is pending, or makes one.
    fn ask(
        &self,
        draft: &mut Draft<'_>,
        session: &[u8],
        mut details: Details,
    ) -> Result<Ruling<Tentative<Authorized>>, StepError> {
        let complaint = if self.sent.code.is_some() { Complaint::Invalid } else { Complaint::Required };
        if details.expires.is_some() {
            return Ok(complain(complaint, &details));
        }
        match self.parts.confirmations.ask_mailed_in(draft, &self.act, session)? {
            Sending::Send(mail) => {
                let expires = mail.peek(draft)?.expires();
                mailed::note(draft, self.parts, self.caller, &self.act, expires)?;
                details.generated = true;
                Ok(Ruling::Mailed { mail, complaint, details })
            }
            // Nothing is pending and nothing can be sent: better to say so than to make a user wait for a mail.
            Sending::NotYet { retry_after } | Sending::Exhausted { retry_after }
                if complaint == Complaint::Required =>
            {
                Ok(too_many(draft, retry_after))
            }
            _ => Ok(complain(complaint, &details)),
        }
    }

    fn by_password(
        &self,
        draft: &mut Draft<'_>,
        enrolment: &Enrolment,
    ) -> Result<Ruling<Tentative<Authorized>>, StepError> {
        let details = enrolment.details(Factor::Password, &self.caller.user);
        let policy = &self.parts.policy;
        let usable = policy.password_fallback && self.caller.user.has_password;
        let Some(_) = &self.sent.code else {
            let guesser = self.password_guesser(draft)?;
            let refusal = if usable { guess::refusal(draft, &policy.ledger, &guesser)? } else { None };
            return Ok(match refusal {
                Some(refusal) if !refusal.changed() => too_many(draft, refusal.retry_after()),
                _ => complain(Complaint::Required, &details),
            });
        };
        // Without a password nothing can be right, and nothing is there to guess at; what is no digest is no guess.
        if !usable || self.digest().is_none() {
            return Ok(complain(Complaint::Invalid, &details));
        }
        let guesser = self.password_guesser(draft)?;
        Ok(match guess::charge_first(draft, &policy.ledger, &guesser)? {
            Ok(charge) => Ruling::Charged(charge),
            Err(refusal) => too_many(draft, refusal.retry_after()),
        })
    }

    fn password_guesser(&self, draft: &mut Draft<'_>) -> Result<Guesser, StepError> {
        let tag = self.parts.tag(draft, self.caller)?;
        Ok(Guesser { door: Door::LoginPassword, strength: Strength::Guessable, tag, passes_as: tag })
    }

    /// The code as a password's digest, in lower case; `None` if it is none.
    fn digest(&self) -> Option<SecretString> {
        let code = self.sent.code.as_ref()?.expose();
        let is_digest = code.len() == 64 && code.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| SecretString::new(code.to_ascii_lowercase()))
    }

    fn enrolment(&self, draft: &mut Draft<'_>) -> Result<Enrolment, StepError> {
        let (policy, user) = (&self.parts.policy, &self.caller.user);
        let enrolled = self.parts.factors.enrolled_in(draft)?;
        let mut available = Vec::new();
        if policy.by_totp && enrolled.has_totp() {
            available.push(Factor::Totp);
        }
        if policy.by_email && enrolled.email && !user.verified_emails.is_empty() {
            available.push(Factor::Email);
        }
        Ok(Enrolment { available, recovery_codes: enrolled.recovery.unwrap_or(0) })
    }
}

fn complain<T>(complaint: Complaint, details: &Details) -> Ruling<T> {
    Ruling::Refused(ApiError::second_factor(complaint, details))
}

fn too_many<T>(draft: &Draft<'_>, seconds: u64) -> Ruling<T> {
    Ruling::Refused(ApiError::too_many(Wait::from(draft.now(), seconds)))
}

/// Mailed as `123-456`, and typed in many ways: only the digits count.
fn digits_of(code: &SecretString) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(code.expose().len()));
    digits.extend(code.expose().chars().filter(char::is_ascii_digit));
    digits
}

/// Mails a code, after its commit.
pub(crate) async fn send_code<H: Host>(parts: &Parts<H>, user: &User, code: &MailedCode) -> Result<(), ApiError> {
    let (first, last) = code.expose().split_at_checked(3).unwrap_or((code.expose(), ""));
    let mut text = String::with_capacity(7);
    text.push_str(first);
    text.push('-');
    text.push_str(last);
    let text = SecretString::new(text);
    let mail = Mail::Code { code: &text, expires: code.expires() };
    parts.host.mail(user, mail).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a code was not mailed");
        ApiError::mail_failed("sendEmailCode", error.shown())
    })
}

impl<H: Host> Parts<H> {
    /// Judges a code that is either time-based, six or seven digits, or a recovery code, anything else: never both. Eight
    /// characters are a recovery code, also if they are digits (dossier § 8).
    pub(crate) fn verify_code(
        &self,
        draft: &mut Draft<'_>,
        caller: &Login,
        code: &SecretString,
        endpoint: Endpoint,
    ) -> Result<Verdict<Tentative<Proven>>, StepError> {
        let (code, purpose) = (code.expose(), Act::purpose(endpoint));
        let tag = self.tag(draft, caller)?;
        if matches!(code.len(), 6 | 7) && code.bytes().all(|byte| byte.is_ascii_digit()) {
            self.factors.verify_totp_in(draft, code, &purpose, tag)
        } else {
            self.factors.verify_recovery_in(draft, code, &purpose, tag)
        }
    }

    /// The caller's login token to the guess ledger, in the present epochs: known at the doors it has passed in them.
    pub(crate) fn tag(&self, draft: &mut Draft<'_>, caller: &Login) -> Result<Option<DeviceTag>, StepError> {
        let root = draft.root()?;
        Ok(Some(DeviceTag::from_bytes(self.devices.tag(&[
            b"rocketchat",
            caller.user.account.as_str().as_bytes(),
            caller.token.0.as_bytes(),
            &root.credential_epoch.to_be_bytes(),
            &root.factor_epoch.to_be_bytes(),
        ]))))
    }
}

//! The second factor: which one a caller must prove, and the result. The client may wish for one;
//! the server chooses.

use keywright_confirm::{Confirmation, MailedCode, SendOutcome};
use keywright_core::ledger::PendingGuess;
use keywright_core::{AccountId, Attempt, Event, Generation, SecretString, SessionId};
use keywright_store::{Draft, Partition, Receipt, Release, StepError, Tentative, TransactError, WrongReceipt, guess};
use keywright_twofactor::VerifyOutcome;
use keywright_twofactor::events::STEP_UP_GRANTED;
use keywright_wire::queue::{Requester, withdraw_if_busy};
use zeroize::Zeroizing;

use crate::act::Act;
use crate::answer::Failure;
use crate::context::{Caller, Context};
use crate::error::{ApiError, Complaint, Details, Wait};
use crate::factors::{self, Enrolment};
use crate::host::{Host, Mail, User};
use crate::method::{Demand, Factor};
use crate::request::SentCode;
use crate::unlock::{self, LOGIN_PASSWORD};

/// Evidence that an account has proven what an act needs. It is made only here and is not `Clone`;
/// the code that acts takes account and act from it.
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

/// A caller before an act.
pub(crate) struct Guard<'a, H> {
    pub(crate) cx: &'a Context<H>,
    pub(crate) caller: &'a Caller,
    pub(crate) sent: &'a SentCode,
    pub(crate) act: Act,
    pub(crate) demand: Demand,
}

/// The decision of a step. Inside the step the mailed code is tentative.
enum Ruling<T, M = Tentative<MailedCode>> {
    Done(T),
    Refused(ApiError),
    /// A refusal whose commit made a mail to the owner due.
    ShutOut(ApiError),
    /// A code was made; it is mailed after the commit.
    Mailed {
        mail: M,
        complaint: Complaint,
        details: Details,
    },
    /// A guess at the password has begun; the host checks it next.
    Begun(PendingGuess),
    /// Guesses at the password that the host has not checked yet are in the way.
    Busy,
    /// The account has changed since the login was looked up; the login is looked up again.
    Moved,
}

impl<T: Release, M: Release> Release for Ruling<T, M> {
    type Released = Ruling<T::Released, M::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Done(value) => Ruling::Done(value.release(receipt)?),
            Self::Refused(error) => Ruling::Refused(error),
            Self::ShutOut(error) => Ruling::ShutOut(error),
            Self::Mailed { mail, complaint, details } => {
                Ruling::Mailed { mail: mail.release(receipt)?, complaint, details }
            }
            Self::Begun(pending) => Ruling::Begun(pending),
            Self::Busy => Ruling::Busy,
            Self::Moved => Ruling::Moved,
        })
    }
}

impl<H: Host> Guard<'_, H> {
    /// Lets the caller act, or refuses. `then` is the act, or another use of the proof. It runs in
    /// the very commit that spends the code, perhaps several times, and must be pure.
    pub(crate) async fn run<T: Release<Released: Send> + Send>(
        &self,
        mut then: impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, Failure> {
        let account = &self.caller.user.account;
        let slots = [keywright_twofactor::SLOTS, keywright_confirm::SLOTS].concat();
        let mut found = self.cx.step_for(self.caller, &slots, |draft| self.judge(draft, &mut then)).await?;
        if let Ruling::Begun(pending) = &found {
            let digest = self.digest().ok_or(StepError::Misuse("a password was guessed at without one"))?;
            // This is slow and runs outside of any commit, so other requests of the account are not
            // held up.
            let requester = Requester::of_guess(Partition::account(account), pending);
            let right = match self.cx.host.check_password(account, &digest, &requester).await {
                Ok(right) => right,
                Err(error) => {
                    withdraw_if_busy(&self.cx.driver, &requester, pending, &error).await;
                    return Err(error.into());
                }
            };
            found = self.cx.step(account, &slots, |draft| self.settle(draft, pending, right, &mut then)).await?;
        }
        match found {
            Ruling::Done(value) => Ok(value),
            Ruling::Refused(error) => Err(error.into()),
            Ruling::ShutOut(error) => {
                self.cx.see_to_mails(account).await;
                Err(error.into())
            }
            Ruling::Mailed { mail, complaint, details } => {
                send_code(self.cx, &self.caller.user, &mail).await?;
                Err(ApiError::second_factor(complaint, &details).into())
            }
            Ruling::Busy => Err(TransactError::Busy.into()),
            Ruling::Moved => Err(Failure::Moved),
            Ruling::Begun(_) => Err(StepError::Misuse("a guess was not settled").into()),
        }
    }

    fn judge<T>(
        &self,
        draft: &mut Draft<'_>,
        then: &mut impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError>,
    ) -> Result<Ruling<T>, StepError> {
        let enrolment = factors::enrolment(self.cx, draft, &self.caller.user, self.demand)?;
        if enrolment.is_stuck {
            return Ok(Ruling::Refused(ApiError::not_allowed()));
        }
        if enrolment.is_free(self.cx.policy.enabled) {
            return self.unproven(draft, then);
        }
        let ruling = match enrolment.choose(self.sent.method) {
            Factor::Totp => self.by_totp(draft, &enrolment)?,
            Factor::Email => self.by_email(draft, &enrolment)?,
            Factor::Password => self.by_password(draft, &enrolment)?,
        };
        Ok(match ruling {
            Ruling::Done(proof) => self.grant(draft, proof, then)?,
            Ruling::Refused(error) => Ruling::Refused(error),
            Ruling::ShutOut(error) => Ruling::ShutOut(error),
            Ruling::Mailed { mail, complaint, details } => Ruling::Mailed { mail, complaint, details },
            Ruling::Begun(pending) => Ruling::Begun(pending),
            Ruling::Busy => Ruling::Busy,
            Ruling::Moved => Ruling::Moved,
        })
    }

    /// The second half of the password check: the host has given its verdict, and the account may
    /// have enrolled something meanwhile.
    fn settle<T>(
        &self,
        draft: &mut Draft<'_>,
        pending: &PendingGuess,
        right: bool,
        then: &mut impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError>,
    ) -> Result<Ruling<T>, StepError> {
        let enrolment = factors::enrolment(self.cx, draft, &self.caller.user, self.demand)?;
        let method = enrolment.choose(None);
        let details = enrolment.details(method, &self.caller.user);
        let counts = if right {
            // A verdict that comes too late concerns a guess that was already charged, or a
            // password that has been replaced.
            guess::settle_right(draft, pending)?
        } else {
            guess::settle_wrong(draft, pending)?;
            false
        };
        if !counts {
            return Ok(complain(Complaint::Invalid, &details));
        }
        if enrolment.is_stuck {
            return Ok(Ruling::Refused(ApiError::not_allowed()));
        }
        if method != Factor::Password {
            return Ok(complain(Complaint::Required, &details));
        }
        if !self.caller.stands(draft)? {
            return Ok(Ruling::Moved);
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
        draft.event(Event::new(&STEP_UP_GRANTED).with("action", Act::purpose(self.act.endpoint).as_str()));
        then(draft, proof).map(Ruling::Done)
    }

    /// Runs the act without a proof, because two-factor is off, or nothing is enrolled that the act
    /// could weaken.
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
            return Ok(match factors::shut(self.cx, draft, self.caller, enrolment.recovery_codes)? {
                Some(refusal) => too_many(draft, refusal.retry_after()),
                None => complain(Complaint::Required, &details),
            });
        };
        Ok(match factors::verify_code(self.cx, draft, self.caller, code, self.act.endpoint)? {
            VerifyOutcome::Granted(proof) => {
                let act = self.act.clone();
                Ruling::Done(proof.map(|proven| Authorized { account: proven.account().clone(), act }))
            }
            VerifyOutcome::Refused(refusal) => too_many(draft, refusal.retry_after()),
            // Wrong, used, malformed, and none of this kind all have one answer.
            _ => complain(Complaint::Invalid, &details),
        })
    }

    fn by_email(
        &self,
        draft: &mut Draft<'_>,
        enrolment: &Enrolment,
    ) -> Result<Ruling<Tentative<Authorized>>, StepError> {
        let (cx, client) = (self.cx, self.caller.client(draft));
        let session = cx.session(self.caller);
        if let Some(refusal) = cx.confirmations.refuse_mailed_in(draft, client)? {
            let mut seconds = refusal.retry_after();
            if self.sent.code.is_none() {
                // The next call requests a code: what holds that back longer is reported now, not
                // after this wait.
                seconds = cx.confirmations.mailed_ready_in(draft, &self.act, session, seconds)?;
            }
            return Ok(too_many(draft, seconds));
        }
        let mut details = enrolment.details(Factor::Email, &self.caller.user);
        details.expires = cx.confirmations.mailed_pending_in(draft, &self.act, session)?;
        if let Some(code) = &self.sent.code {
            let digits = digits_of(code);
            let act = self.act.clone();
            match cx.confirmations.confirm_mailed_in(draft, act, session, &digits, client)? {
                Confirmation::Granted(proof) => {
                    return Ok(Ruling::Done(proof.map(|confirmed| {
                        let (account, act) = confirmed.into_parts();
                        Authorized { account, act }
                    })));
                }
                Confirmation::Denied(denial) if denial.was_last_try() => {
                    return Ok(complain(Complaint::MaxAttempts, &details));
                }
                Confirmation::Refused(refusal) => return Ok(too_many(draft, refusal.retry_after())),
                _ => {}
            }
        }
        self.ask(draft, session, details)
    }

    /// Handles a call without a right code: reports that one is pending, or makes one.
    fn ask(
        &self,
        draft: &mut Draft<'_>,
        session: SessionId,
        mut details: Details,
    ) -> Result<Ruling<Tentative<Authorized>>, StepError> {
        let complaint = if self.sent.code.is_some() { Complaint::Invalid } else { Complaint::Required };
        if details.expires.is_some() {
            return Ok(complain(complaint, &details));
        }
        match self.cx.confirmations.begin_mailed_in(draft, &self.act, session)? {
            SendOutcome::Send(mail) => {
                details.generated = true;
                Ok(Ruling::Mailed { mail, complaint, details })
            }
            // Nothing is pending and nothing can be sent: better to report that than to make a user
            // wait for a mail.
            SendOutcome::NotYet { retry_after } | SendOutcome::Exhausted { retry_after }
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
        let complaint = if self.sent.code.is_some() { Complaint::Invalid } else { Complaint::Required };
        // Without a password nothing can be right, and there is nothing to guess.
        if !self.caller.user.has_password || !enrolment.takes_password(&self.cx.policy) {
            return Ok(complain(complaint, &details));
        }
        let attempt = Attempt::new(LOGIN_PASSWORD, Generation::HOST, self.caller.client(draft));
        let refusal = if self.digest().is_some() {
            match guess::begin(draft, &attempt)? {
                Ok(pending) => return Ok(Ruling::Begun(pending)),
                Err(refusal) if refusal.is_unjudged() => return Ok(Ruling::Busy),
                Err(refusal) => refusal,
            }
        } else {
            // A code that is not a digest is not a guess.
            match guess::refuse(draft, &attempt)?.filter(|refusal| !refusal.is_unjudged()) {
                Some(refusal) => refusal,
                None => return Ok(complain(complaint, &details)),
            }
        };
        let mailed = unlock::note_refusal(draft, &attempt, &refusal, &self.caller.token, self.caller.network)?;
        let error = ApiError::too_many(Wait::from(draft.now(), refusal.retry_after()));
        Ok(if mailed { Ruling::ShutOut(error) } else { Ruling::Refused(error) })
    }

    /// Returns the code as a password's digest, in lower case, or `None` if it is not one.
    fn digest(&self) -> Option<SecretString> {
        let code = self.sent.code.as_ref()?.expose();
        let is_digest = code.len() == 64 && code.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| SecretString::new(code.to_ascii_lowercase()))
    }
}

fn complain<T>(complaint: Complaint, details: &Details) -> Ruling<T> {
    Ruling::Refused(ApiError::second_factor(complaint, details))
}

fn too_many<T>(draft: &Draft<'_>, seconds: u64) -> Ruling<T> {
    Ruling::Refused(ApiError::too_many(Wait::from(draft.now(), seconds)))
}

/// Returns the digits of a code. It is mailed as `123-456` and typed in many ways, so only the
/// digits count.
fn digits_of(code: &SecretString) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(code.expose().len()));
    digits.extend(code.expose().chars().filter(char::is_ascii_digit));
    digits
}

/// Mails a code, after its commit.
pub(crate) async fn send_code<H: Host>(cx: &Context<H>, user: &User, code: &MailedCode) -> Result<(), ApiError> {
    let (first, last) = code.expose().split_at_checked(3).unwrap_or((code.expose(), ""));
    let mut text = String::with_capacity(7);
    text.push_str(first);
    text.push('-');
    text.push_str(last);
    let text = SecretString::new(text);
    let mail = Mail::Code { code: &text, expires: code.expires() };
    cx.host.mail(user, mail).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a code was not mailed");
        ApiError::mail_failed("sendEmailCode", error.shown())
    })
}

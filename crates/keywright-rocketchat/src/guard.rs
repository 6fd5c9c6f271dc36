//! The second factor: which one a caller must prove, and the result. The client may wish for one;
//! the server chooses.

use keywright_confirm::MailedCode;
use keywright_core::ledger::PendingGuess;
use keywright_core::{AccountId, Event, Generation, IndexKey, SecretString, SessionId, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{
    Draft, Partition, Receipt, Release, Slot, StepError, Tentative, TransactError, WrongReceipt, guess,
};
use keywright_twofactor::events::STEP_UP_GRANTED;
use keywright_wire::queue::{Requester, withdraw_if_busy};
use subtle::ConstantTimeEq;

use crate::act::Act;
use crate::answer::Failure;
use crate::context::{Caller, Context, Prover};
use crate::error::{ApiError, Complaint, Details, Wait};
use crate::factors::{self, Enrolment};
use crate::host::Host;
use crate::method::{Demand, Factor};
use crate::request::SentCode;
use crate::second_factor::{Check, Checked, send_code};
use crate::state::{CREDITS, Credit};
use crate::unlock::{self, LOGIN_PASSWORD};
use crate::user::SentPassword;

/// Evidence that an account has proven what an act needs. It is made only here and is not `Clone`;
/// the code that acts takes account and act from it.
#[must_use = "a proof that nobody takes allows nothing"]
pub(crate) struct Authorized {
    account: AccountId,
    act: Act,
    /// When the proof ends, if it is one that was kept.
    until: Option<UnixSeconds>,
}

impl Authorized {
    pub(crate) const fn act(&self) -> &Act {
        &self.act
    }

    /// Returns the account, the act, and when the proof ends if it is one that was kept.
    pub(crate) fn into_parts(self) -> (AccountId, Act, Option<UnixSeconds>) {
        (self.account, self.act, self.until)
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

/// The first decision of a step.
enum Judged<T, M = Tentative<MailedCode>> {
    Ruled(Ruling<T, M>),
    /// A guess at the password has begun; the host checks this digest next.
    Begun(PendingGuess, SecretString),
}

impl<T: Release, M: Release> Release for Judged<T, M> {
    type Released = Judged<T::Released, M::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Ruled(ruling) => Judged::Ruled(ruling.release(receipt)?),
            Self::Begun(pending, digest) => Judged::Begun(pending, digest),
        })
    }
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
        let mut slots = [keywright_twofactor::SLOTS, keywright_confirm::SLOTS].concat();
        slots.extend(self.credit().map(|(slot, _)| slot.name()));
        let judged = self.cx.step_for(self.caller, &slots, |draft| self.judge(draft, &mut then)).await?;
        let ruling = match judged {
            Judged::Ruled(ruling) => ruling,
            Judged::Begun(pending, digest) => {
                // This is slow and runs outside of any commit, so other requests of the account are
                // not held up.
                let requester = Requester::of_guess(Partition::account(account), &pending);
                let sent = SentPassword::Digest(&digest);
                let right = match self.cx.host.check_password(Some(account), sent, &requester).await {
                    Ok(right) => right,
                    Err(error) => {
                        withdraw_if_busy(&self.cx.driver, &requester, &pending, &error).await;
                        return Err(error.into());
                    }
                };
                self.cx.step(account, &slots, |draft| self.settle(draft, &pending, right, &mut then)).await?
            }
        };
        match ruling {
            Ruling::Done(value) => Ok(value),
            Ruling::Refused(error) => Err(error.into()),
            Ruling::ShutOut(error) => {
                self.cx.see_to_mails(account).await;
                Err(error.into())
            }
            Ruling::Mailed { mail, complaint, details } => {
                send_code(self.cx, &self.caller.user, &mail, None).await?;
                Err(ApiError::second_factor(complaint, &details).into())
            }
            Ruling::Busy => Err(TransactError::Busy.into()),
            Ruling::Moved => Err(Failure::Moved),
        }
    }

    fn judge<T>(
        &self,
        draft: &mut Draft<'_>,
        then: &mut impl FnMut(&mut Draft<'_>, Tentative<Authorized>) -> Result<T, StepError>,
    ) -> Result<Judged<T>, StepError> {
        let enrolment = factors::enrolment(self.cx, draft, &self.caller.user, self.demand)?;
        if enrolment.is_stuck {
            return Ok(Judged::Ruled(Ruling::Refused(ApiError::not_allowed())));
        }
        if enrolment.is_free(self.cx.policy.enabled) {
            return self.unproven(draft, then).map(Judged::Ruled);
        }
        if let Some(until) = self.take_credit(draft)? {
            let proof = draft.tentative(self.authorized(Some(until)));
            return self.grant(draft, proof, then).map(Judged::Ruled);
        }
        let check = Check { cx: self.cx, prover: self.prover(), act: &self.act, code: self.sent.code.as_ref() };
        let checked = match enrolment.choose(self.sent.method) {
            Factor::Totp => check.by_totp(draft, &enrolment)?,
            Factor::Email => check.by_email(draft, &enrolment)?,
            Factor::Password => return self.by_password(draft, &enrolment),
        };
        Ok(Judged::Ruled(match checked {
            Checked::Passed(proof) => self.grant(draft, proof.map(|()| self.authorized(None)), then)?,
            Checked::Denied(complaint, details) => complain(complaint, &details),
            Checked::Mailed { mail, complaint, details } => Ruling::Mailed { mail, complaint, details },
            Checked::Wait(seconds) => Ruling::Refused(ApiError::too_many(Wait::from(draft.now(), seconds))),
        }))
    }

    fn prover(&self) -> Prover<'_> {
        self.cx.prover(self.caller)
    }

    /// Returns the slot of the proof of this very act that was kept when the act stopped before its
    /// change, and the digest of the code that was sent. Acts on one's own account are one commit
    /// with their proof, so nothing is kept for them.
    fn credit(&self) -> Option<(Slot<Credit, Expiring>, [u8; 32])> {
        let code = self.sent.code.as_ref()?;
        let session = self.cx.session(self.caller);
        credit_of(&self.cx.index, session, &self.act, code)
    }

    /// Takes the proof that was kept, if the same code came again. Returns when it ends.
    fn take_credit(&self, draft: &mut Draft<'_>) -> Result<Option<UnixSeconds>, StepError> {
        let Some((slot, code)) = self.credit() else { return Ok(None) };
        let Some(credit) = draft.read(slot)? else { return Ok(None) };
        if !(bool::from(credit.code.ct_eq(&code)) && credit.made.is_live(draft)?) {
            return Ok(None);
        }
        draft.delete(slot)?;
        Ok(Some(credit.made.expires))
    }

    /// Keeps the proof of an act that stopped before its change, so that the same code passes again
    /// (`docs/decisions.md` 28a). If this fails, it only costs the code.
    pub(crate) async fn keep_credit(&self, until: Option<UnixSeconds>) {
        let Some((slot, code)) = self.credit() else { return };
        let put = |draft: &mut Draft<'_>| {
            let credit = Credit::new(draft, code, until)?;
            let expires = credit.made.expires;
            draft.put_until(slot, &credit, expires)?;
            Ok(draft.tentative(()))
        };
        if self.cx.step_for(self.caller, &[slot.name()], put).await.is_err() {
            tracing::warn!("the proof of an act that stopped is not kept; its code is spent");
        }
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
        let proof = self.authorized(None);
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
        let proof = self.authorized(None);
        let proof = draft.tentative(proof);
        then(draft, proof).map(Ruling::Done)
    }

    fn authorized(&self, until: Option<UnixSeconds>) -> Authorized {
        Authorized { account: self.caller.user.account.clone(), act: self.act.clone(), until }
    }

    fn by_password<T>(&self, draft: &mut Draft<'_>, enrolment: &Enrolment) -> Result<Judged<T>, StepError> {
        let details = enrolment.details(Factor::Password, &self.caller.user);
        let complaint = if self.sent.code.is_some() { Complaint::Invalid } else { Complaint::Required };
        // Without a password nothing can be right, and there is nothing to guess.
        if !self.caller.user.has_password || !enrolment.takes_password(&self.cx.policy) {
            return Ok(Judged::Ruled(complain(complaint, &details)));
        }
        let attempt = self.prover().attempt(draft, LOGIN_PASSWORD, Generation::HOST)?;
        let refusal = match self.digest() {
            Some(digest) => match guess::begin(draft, &attempt)? {
                Ok(pending) => return Ok(Judged::Begun(pending, digest)),
                Err(refusal) if refusal.is_unjudged() => return Ok(Judged::Ruled(Ruling::Busy)),
                Err(refusal) => refusal,
            },
            // A code that is not a digest is not a guess.
            None => match guess::refuse(draft, &attempt)?.filter(|refusal| !refusal.is_unjudged()) {
                Some(refusal) => refusal,
                None => return Ok(Judged::Ruled(complain(complaint, &details))),
            },
        };
        let (token, network) = (Some(&self.caller.token), self.caller.network);
        let mailed = unlock::note_refusal(draft, &attempt, &refusal, token, network)?;
        let error = ApiError::too_many(Wait::from(draft.now(), refusal.retry_after()));
        Ok(Judged::Ruled(if mailed { Ruling::ShutOut(error) } else { Ruling::Refused(error) }))
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

/// Returns the slot of the proof of an act, and the digest of its code. It is bound to session,
/// action and target. Acts on one's own account are one commit with their proof, so nothing is kept
/// for them.
fn credit_of(
    index: &IndexKey,
    session: SessionId,
    act: &Act,
    code: &SecretString,
) -> Option<(Slot<Credit, Expiring>, [u8; 32])> {
    act.target.named()?;
    let (session, path, target) =
        (session.as_bytes().as_slice(), act.endpoint.path().as_bytes(), act.target.canonical());
    let place = index.mac(&[b"rocketchat-credit", session, path, target.as_bytes()]);
    let code = index.mac(&[b"rocketchat-credit-code", session, path, target.as_bytes(), code.expose().as_bytes()]);
    let mut id = [0; 16];
    id.iter_mut().zip(place).for_each(|(to, from)| *to = from);
    Some((CREDITS.at(id), code))
}

//! Checking what was sent as a second factor: a time-based code, a recovery code or a mailed code.
//! What is checked here is the same for an act of a login, for a log-in, and for a challenge; their
//! answers differ.

use keywright_confirm::{Confirmation, MailedCode, SendOutcome};
use keywright_core::{SecretString, UnixSeconds};
use keywright_store::{Draft, StepError, Tentative};
use keywright_twofactor::VerifyOutcome;
use zeroize::Zeroizing;

use crate::act::Act;
use crate::context::{Context, Prover};
use crate::error::{ApiError, Complaint, Details};
use crate::factors::{self, Enrolment};
use crate::host::{Host, Mail};
use crate::method::Factor;
use crate::user::User;

/// The result of a check.
pub(crate) enum Checked {
    /// The code was right, and is spent by this commit.
    Passed(Tentative<()>),
    /// No code came, or a wrong one.
    Denied(Complaint, Details),
    /// A code was made; it is mailed after the commit.
    Mailed { mail: Tentative<MailedCode>, complaint: Complaint, details: Details },
    /// Nothing is checked for so many seconds.
    Wait(u64),
}

/// What is proven, by whom and with what.
pub(crate) struct Check<'a, H> {
    pub(crate) cx: &'a Context<H>,
    pub(crate) prover: Prover<'a>,
    pub(crate) act: &'a Act,
    pub(crate) code: Option<&'a SecretString>,
}

impl<H: Host> Check<'_, H> {
    pub(crate) fn by_totp(&self, draft: &mut Draft<'_>, enrolment: &Enrolment) -> Result<Checked, StepError> {
        let details = enrolment.details(Factor::Totp, self.prover.user);
        let Some(code) = self.code else {
            return Ok(match factors::shut(self.cx, draft, &self.prover, enrolment.recovery_codes)? {
                Some(refusal) => Checked::Wait(refusal.retry_after()),
                None => Checked::Denied(Complaint::Required, details),
            });
        };
        Ok(match factors::verify_code(self.cx, draft, &self.prover, code, self.act.endpoint, enrolment.demand)? {
            VerifyOutcome::Granted(proof) => Checked::Passed(proof.map(drop)),
            VerifyOutcome::Refused(refusal) => Checked::Wait(refusal.retry_after()),
            // Wrong, used, malformed, and none of this kind all have one answer.
            _ => Checked::Denied(Complaint::Invalid, details),
        })
    }

    /// Checks a mailed code. Without a right one, one is mailed if none is pending.
    pub(crate) fn by_email(&self, draft: &mut Draft<'_>, enrolment: &Enrolment) -> Result<Checked, StepError> {
        let (checked, pending) = self.mailed(draft, enrolment)?;
        match checked {
            Checked::Denied(complaint @ (Complaint::Required | Complaint::Invalid), details) if !pending => {
                self.ask(draft, complaint, details)
            }
            checked => Ok(checked),
        }
    }

    /// Checks a mailed code, and mails none. Also returns whether one was pending.
    pub(crate) fn mailed(&self, draft: &mut Draft<'_>, enrolment: &Enrolment) -> Result<(Checked, bool), StepError> {
        let (cx, client, session) = (self.cx, self.prover.client(draft), self.prover.session);
        if let Some(refusal) = cx.confirmations.refuse_mailed_in(draft, client)? {
            let mut seconds = refusal.retry_after();
            if self.code.is_none() {
                // The next call requests a code: what holds that back longer is reported now, not
                // after this wait.
                seconds = cx.confirmations.mailed_ready_in(draft, self.act, session, seconds)?;
            }
            return Ok((Checked::Wait(seconds), false));
        }
        let mut details = enrolment.details(Factor::Email, self.prover.user);
        details.expires = cx.confirmations.mailed_pending_in(draft, self.act, session)?;
        let is_pending = details.expires.is_some();
        let Some(code) = self.code else { return Ok((Checked::Denied(Complaint::Required, details), is_pending)) };
        let checked = cx.confirmations.confirm_mailed_in(draft, self.act.clone(), session, &digits_of(code), client)?;
        let checked = match checked {
            Confirmation::Granted(proof) => Checked::Passed(proof.map(drop)),
            Confirmation::Denied(denial) if denial.was_last_try() => Checked::Denied(Complaint::MaxAttempts, details),
            Confirmation::Refused(refusal) => Checked::Wait(refusal.retry_after()),
            _ => Checked::Denied(Complaint::Invalid, details),
        };
        Ok((checked, is_pending))
    }

    /// Makes a code, where none is pending.
    fn ask(&self, draft: &mut Draft<'_>, complaint: Complaint, mut details: Details) -> Result<Checked, StepError> {
        Ok(match self.cx.confirmations.begin_mailed_in(draft, self.act, self.prover.session)? {
            SendOutcome::Send(mail) => {
                details.generated = true;
                Checked::Mailed { mail, complaint, details }
            }
            // Nothing is pending and nothing can be sent: better to report that than to make a user
            // wait for a mail.
            SendOutcome::NotYet { retry_after } | SendOutcome::Exhausted { retry_after }
                if complaint == Complaint::Required =>
            {
                Checked::Wait(retry_after)
            }
            _ => Checked::Denied(complaint, details),
        })
    }
}

/// Returns the digits of a code. It is mailed as `123-456` and typed in many ways, so only the
/// digits count.
fn digits_of(code: &SecretString) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(code.expose().len()));
    digits.extend(code.expose().chars().filter(char::is_ascii_digit));
    digits
}

/// Mails a code, after its commit. `until` is when what it is for ends, if that comes first.
pub(crate) async fn send_code<H: Host>(
    cx: &Context<H>,
    user: &User,
    code: &MailedCode,
    until: Option<UnixSeconds>,
) -> Result<(), ApiError> {
    let (first, last) = code.expose().split_at_checked(3).unwrap_or((code.expose(), ""));
    let mut text = String::with_capacity(7);
    text.push_str(first);
    text.push('-');
    text.push_str(last);
    let text = SecretString::new(text);
    let expires = until.map_or(code.expires(), |until| until.min(code.expires()));
    cx.host.mail(user, Mail::Code { code: &text, expires }).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a code was not mailed");
        ApiError::mail_failed("sendEmailCode", error.shown())
    })
}

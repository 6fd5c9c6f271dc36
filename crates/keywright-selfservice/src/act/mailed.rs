//! The mailed code with which an owner who has nothing stronger authorizes a change of factors.

use keywright_confirm::{Action, Confirmation, SLOTS as CONFIRM_SLOTS, SendOutcome};
use keywright_core::UnixSeconds;
use keywright_store::{Draft, Partition, SlotName};
use keywright_twofactor::{Attested, CHANGE_FACTORS, Method, SLOTS, StepUp, StepUps};

use crate::answer::Failure;
use crate::context::Context;
use crate::host::{Caller, Host};

/// What a mailed code confirms: that the owner may change factors in this session.
struct ProveByMail;

impl Action for ProveByMail {
    const NAME: &'static str = "selfservice.prove";

    fn target(&self) -> &str {
        ""
    }

    fn parameters(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// What came of a request for a mail.
pub(crate) enum Sending {
    /// A code is on its way.
    Sent { expires: UnixSeconds },
    /// So many seconds have to pass first. A code that was mailed before stays valid.
    NotYet { retry_after: u64 },
}

/// Mails a new code. The caller has checked that one is of use.
pub(crate) async fn send<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Sending, Failure> {
    match cx.confirmations.begin_mailed(&caller.account, &ProveByMail, caller.session).await? {
        SendOutcome::Send(code) => {
            cx.host.mail_code(caller, &code).await?;
            Ok(Sending::Sent { expires: code.expires() })
        }
        SendOutcome::NotYet { retry_after } | SendOutcome::Exhausted { retry_after } => {
            Ok(Sending::NotYet { retry_after })
        }
    }
}

/// Returns when the code expires that was mailed for this session.
pub(crate) async fn pending<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Option<UnixSeconds>, Failure> {
    let steps = cx.confirmations.steps();
    let look = |draft: &mut Draft<'_>| steps.mailed_pending_in(draft, &ProveByMail, caller.session);
    Ok(cx.driver.observe(&Partition::account(&caller.account), CONFIRM_SLOTS, look).await?)
}

/// Checks a mailed code. The verdict and the proof are one commit.
pub(crate) async fn prove<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    typed: &str,
) -> Result<Confirmation<StepUp>, Failure> {
    let (confirmations, factors) = (cx.confirmations.steps(), cx.two_factor.steps());
    let window = StepUps::slot(caller.session);
    let slots: Vec<SlotName> = SLOTS.iter().chain(CONFIRM_SLOTS).copied().chain([window]).collect();
    let step = |draft: &mut Draft<'_>| {
        // A code that authorizes nothing is not spent.
        if !factors.step_ups().permits_in(draft, &CHANGE_FACTORS, Method::Mailed)? {
            return Ok(None);
        }
        let verdict =
            confirmations.confirm_mailed_in(draft, ProveByMail, caller.session, typed.trim(), caller.client)?;
        Ok(match verdict {
            Confirmation::Granted(_) => factors
                .step_up_attested_in(draft, &CHANGE_FACTORS, caller.session, Attested::Mailed)?
                .map(Confirmation::Granted),
            Confirmation::Denied(denial) => Some(Confirmation::Denied(denial)),
            Confirmation::Refused(refusal) => Some(Confirmation::Refused(refusal)),
        })
    };
    let verdict = cx.driver.run(&Partition::account(&caller.account), &slots, step).await?;
    // Without a verdict, something stronger was enrolled in the meantime.
    verdict.ok_or(Failure::Stale)
}

//! `DELETE user/delete`: the account and all that is in it.
//!
//! Two proofs, the password's first, then the second factor's if there is one. Neither is spent, nor forgiven, because
//! the other was wrong. The recovery code is none of them (dossier § 7).

use keywright_core::DeviceTag;
use keywright_store::due::DueTask;
use keywright_store::names::{self, Released};
use keywright_store::{Draft, Slot, StepError, Tentative};
use keywright_twofactor::Verdict;
use serde::Deserialize;

use crate::SharedKey;
use crate::account::Credential;
use crate::error::ApiError;
use crate::guard::{Proof, SharedDoor};
use crate::host::Host;
use crate::mails::{self, Kind};
use crate::request::Input;
use crate::service::{Answered, Caller, Parts, Reply};
use crate::tokens::{self, Login};

/// What a code is accepted for, where the policy has it once for each purpose.
pub(super) const PURPOSE: &str = "librepass/delete";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    shared_key: String,
    /// Absent, null or empty: none. Clients send an empty one where there is no second factor.
    code: Option<String>,
}

/// How a deletion ended, in its commit.
enum Ended {
    Erased(Tentative<Vec<Released>>, DueTask),
    Refused(ApiError),
}

pub(crate) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, input: &Input<'_>) -> Answered {
    let body: Body = input.json()?;
    let sent = SharedKey::from_hex(&body.shared_key).map_err(|_| ApiError::SHARED_KEY)?;
    let code = body.code.as_deref().unwrap_or_default();
    let slots = [
        Slot::Token(caller.token.slot()),
        Slot::Credential,
        Slot::Names,
        Slot::Ledger,
        Slot::Factors,
        Slot::Recovery,
        Slot::Due,
    ];
    let step = |draft: &mut Draft<'_>, door: &SharedDoor<'_>| parts.delete(draft, door, caller, &sent, code);
    let (ended, receipt) = parts.with_shared_key(caller.account(), &slots, step).await?;
    let (released, task) = match ended {
        Ended::Erased(released, task) => (released.release(&receipt)?, task),
        Ended::Refused(error) => return Err(error.into()),
    };
    for name in &released {
        // It is free already: this only tidies up.
        if let Err(error) = parts.names.let_go(name).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the claim of a name that is free stays behind");
        }
    }
    parts.send(caller.account(), &[task]).await;
    Ok(Reply::empty())
}

impl<H: Host> Parts<H> {
    fn delete(
        &self,
        draft: &mut Draft<'_>,
        door: &SharedDoor<'_>,
        caller: &Caller,
        sent: &SharedKey,
        code: &str,
    ) -> Result<Ended, StepError> {
        let refused = |error| Ok(Ended::Refused(error));
        let Some(login) = tokens::verify_in(draft, &caller.token)?.filter(Login::may_act) else {
            return refused(ApiError::INVALID_TOKEN);
        };
        let Some(credential) = Credential::read(draft)? else { return refused(ApiError::INVALID_TOKEN) };
        let tag = Some(self.token_tag(login.id()));
        let password = draft.judge(|draft| door.judge_in(draft, &credential.public_key, sent, tag, tag))?;
        match *password.outcome() {
            Proof::Right => {}
            Proof::Wrong | Proof::Refused { .. } => {
                return match draft.stage(password)? {
                    Proof::Refused { retry_after } => refused(ApiError::too_many(retry_after)),
                    _ => refused(ApiError::SHARED_KEY),
                };
            }
        }
        if self.factors.enrolled_in(draft)?.has_totp()
            && let Some(error) = self.prove_to_delete(draft, code, tag)?
        {
            return refused(error);
        }
        // Everything goes with the erase, the password's door too: its verdict has nowhere to be booked.
        let released = names::release_all(draft)?;
        draft.erase(&[])?;
        let task = mails::add_in(draft, &credential.address()?, Kind::AccountDeleted)?;
        Ok(Ended::Erased(released, task))
    }

    /// What a code is refused with, if it is. A text that is no code, and none, is not charged.
    fn prove_to_delete(
        &self,
        draft: &mut Draft<'_>,
        code: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Option<ApiError>, StepError> {
        Ok(match self.factors.verify_totp_in(draft, code, PURPOSE, tag)? {
            Verdict::Granted(_) => None,
            Verdict::Refused(refusal) => Some(ApiError::too_many(refusal.retry_after())),
            _ => Some(ApiError::TWO_FACTOR),
        })
    }
}

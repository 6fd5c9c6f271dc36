//! Admitting a network: by the link of a mail, or by a session of the account with a fresh proof.

use keywright_core::{AccountId, ClientAdmission, SessionId};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, Plain, SlotName};
use keywright_twofactor::{ADMIT_CLIENT, CodeKind, StepUps, VerifyOutcome};
use keywright_wire::{DueError, Network, RefusedBy};

use crate::account::credential::{CREDENTIAL, Credential, SHARED_KEY};
use crate::account::guard::{Proof, Sender};
use crate::account::tokens::{self, Login};
use crate::protocol::error::ApiError;
use crate::protocol::keys::SharedKey;
use crate::protocol::token::Token;
use crate::protocol::user::UserId;
use crate::wire::answer::Failure;
use crate::wire::context::Context;
use crate::wire::host::Host;

/// Whether a network was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum NetworkAdmission {
    /// The network's next ten tries within an hour are checked, whatever other clients have done.
    Admitted,
    /// The account has used up its admissions for now.
    TooMany {
        /// Seconds until one is free again, at least 1.
        retry_after: u64,
    },
    /// The token, the shared key or the code is wrong.
    Denied,
    /// The shared key or the code was not checked, because this token's guesses are paused.
    Refused {
        /// Seconds until it will be checked, at least 1.
        retry_after: u64,
    },
}

keywright_store::released_as_is!(NetworkAdmission);

impl From<ClientAdmission> for NetworkAdmission {
    fn from(admission: ClientAdmission) -> Self {
        match admission {
            ClientAdmission::Admitted { .. } => Self::Admitted,
            ClientAdmission::TooMany { retry_after } => Self::TooMany { retry_after },
        }
    }
}

/// Admits a network by the link of a mail.
pub(crate) async fn admit_by_link<H: Host>(
    cx: &Context<H>,
    user: &UserId,
    ticket: [u8; 16],
    network: Network,
) -> Result<(), Failure> {
    let step = |draft: &mut Draft<'_>| {
        let Some(credential) = Credential::read(draft)? else { return Ok(Plain(None)) };
        let tag = network.tag(draft);
        guess::unlock_mail_clicked(draft, SHARED_KEY, credential.generation(), ticket, tag).map(Plain)
    };
    match cx.step(user.account(), &[CREDENTIAL.name(), LEDGER.name()], step).await? {
        Some(ClientAdmission::Admitted { .. }) => Ok(()),
        Some(ClientAdmission::TooMany { retry_after }) => {
            Err(ApiError::too_many(retry_after).refused_by(RefusedBy::ADMISSIONS).into())
        }
        None => Err(ApiError::EMAIL_CODE.into()),
    }
}

/// Admits a network by a login of the account and a fresh proof of the password.
pub(crate) async fn admit_by_session<H: Host>(
    cx: &Context<H>,
    token: &Token,
    sent: &SharedKey,
    network: Network,
) -> Result<NetworkAdmission, DueError> {
    let account: &AccountId = token.user().account();
    let slots = [tokens::TOKEN.at(token.slot()).name(), CREDENTIAL.name(), LEDGER.name()];
    cx.with_shared_key(account, &slots, |draft, check| {
        let login = tokens::verify_in(draft, token)?.filter(Login::may_act);
        let (Some(login), Some(credential)) = (login, Credential::read(draft)?) else {
            return Ok(NetworkAdmission::Denied);
        };
        let sender = Sender { client: login.client(draft, None), network: None };
        Ok(match check.judge_in(draft, &credential, sent, &sender)? {
            Proof::Wrong => NetworkAdmission::Denied,
            Proof::Refused { retry_after } => NetworkAdmission::Refused { retry_after },
            Proof::Right => {
                let tag = network.tag(draft);
                guess::admit_client(draft, SHARED_KEY, credential.generation(), tag)?.into()
            }
        })
    })
    .await
}

/// Admits a network at a kind of code, by a login of the account and a code that its device has
/// just shown.
pub(crate) async fn admit_by_code<H: Host>(
    cx: &Context<H>,
    token: &Token,
    code: &str,
    kind: CodeKind,
    network: Network,
) -> Result<NetworkAdmission, DueError> {
    let account: &AccountId = token.user().account();
    let session = SessionId::new(token.slot());
    let own = [tokens::TOKEN.at(token.slot()).name(), StepUps::slot(session)];
    let slots: Vec<SlotName> = own.iter().chain(keywright_twofactor::SLOTS).copied().collect();
    let step = |draft: &mut Draft<'_>| {
        let Some(login) = tokens::verify_in(draft, token)?.filter(Login::may_act) else {
            return Ok(VerifyOutcome::NotEnrolled);
        };
        let client = login.client(draft, None);
        cx.factors.step_up_code_in(draft, &ADMIT_CLIENT, session, code, client)
    };
    let proof = match cx.step(account, &slots, step).await? {
        VerifyOutcome::Granted(proof) => proof,
        VerifyOutcome::Refused(refusal) => {
            return Ok(NetworkAdmission::Refused { retry_after: refusal.retry_after() });
        }
        VerifyOutcome::Denied(_) | VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled => {
            return Ok(NetworkAdmission::Denied);
        }
    };
    // The proof is spent and names the account; what it opens is a commit of its own.
    let admit = |draft: &mut Draft<'_>| {
        let tag = network.tag(draft);
        cx.factors.admit_client_in(draft, &proof, kind, tag).map(Plain)
    };
    let admission = cx.step(account, keywright_twofactor::SLOTS, admit).await?;
    Ok(admission.map_or(NetworkAdmission::Denied, NetworkAdmission::from))
}

//! The ways in for an owner whom others have shut out by guessing: the mail with its link, and what a session may do.
//!
//! Where the host knows the networks that requests come from ([`Host::client_address`](crate::Host::client_address)), a
//! refusal that lasts makes a mail due, as seldom as the ledger says. Its link shows a page; the button's POST lets one
//! network in for ten tries in an hour. The link proves nothing else: nobody logs in by it.

use keywright_core::{AccountId, Attempt, ClientAdmission, Refusal};
use keywright_store::due::{DUE, DueList};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, Plain, SlotName, StepError};
use keywright_twofactor::recovery::Preset;
use keywright_twofactor::{ADMIT_CLIENT, CodeKind, StepUps, Verdict};
use keywright_wire::Network;

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::guard::{Proof, SHARED_KEY, Sender};
use crate::account::mails::{self, Kind};
use crate::account::tokens::{self, Login};
use crate::protocol::address::Address;
use crate::protocol::keys::SharedKey;
use crate::protocol::token::Token;
use crate::protocol::user::UserId;
use crate::wire::error::ApiError;
use crate::wire::host::Host;
use crate::wire::service::{Failure, Parts};

/// The path of the link.
pub(crate) const LINK_PATH: &str = "/api/auth/admitClient";

/// Whether a refusal makes a mail due: then it is worth a commit.
pub(crate) fn is_mail_due(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    network: Option<Network>,
) -> Result<bool, StepError> {
    let (policy, now) = (draft.ledger_policy(), draft.now());
    let ledger = draft.read(LEDGER)?.unwrap_or_default();
    Ok(network.is_some() && ledger.unlock_mail_due(policy, attempt, refusal, now))
}

/// Makes the owner's mail due in the commit that settles a refusal, if one may go now. `owner`: the account's address and
/// the base of links; `None` for a decoy, which has the same commit and no mail.
///
/// Without a network there is nobody whom a link could let in. A mail that finds no room among the host's work is left
/// out; the next refusal asks again.
pub(crate) fn note_refusal(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    network: Option<Network>,
    owner: Option<(&Address, &str)>,
) -> Result<(), StepError> {
    let Some(network) = network else { return Ok(()) };
    match draft.judge(|draft| mail_in(draft, attempt, refusal, network, owner)) {
        Ok(mailed) => draft.stage(mailed),
        Err(StepError::TooMuchDue) => Ok(()),
        Err(error) => Err(error),
    }
}

fn mail_in(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    network: Network,
    owner: Option<(&Address, &str)>,
) -> Result<(), StepError> {
    let Some(mail) = guess::unlock_mail(draft, attempt, refusal)? else { return Ok(()) };
    let Some((address, public_url)) = owner else {
        let nothing = draft.read(DUE)?.unwrap_or_else(DueList::default);
        return draft.put(DUE, &nothing);
    };
    let (account, now) = (draft.partition().as_account().ok_or(StepError::NoAccount)?, draft.now());
    let shut_out = draft.read(LEDGER)?.and_then(|ledger| ledger.shut_out(attempt));
    let code = hex::encode(mail.ticket);
    let kind = Kind::ClientsRefused {
        link: format!("{public_url}{LINK_PATH}?user={account}&code={code}&from={network}"),
        network: network.to_string(),
        wrong_guesses: shut_out.map_or(0, |shut_out| shut_out.wrong_guesses),
        hours: shut_out.map_or(1, |shut_out| now.since(shut_out.since).div_ceil(3_600).max(1)),
    };
    // As long as its link works. Anybody can cause the mail.
    mails::asked_in(draft, address, kind, mail.until)
}

/// Whether a network was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum NetworkAdmission {
    /// Its next ten tries within an hour are looked at, whatever others have done.
    Admitted,
    /// The account has had its admissions for now.
    TooMany {
        /// Seconds until one is free again, at least 1.
        retry_after: u64,
    },
    /// The token, the shared key or the code is not good.
    Denied,
    /// The shared key or the code was not looked at, because this token's guesses are paused.
    Refused {
        /// Seconds until it will be, at least 1.
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

impl<H: Host> Parts<H> {
    /// Lets a network in by the link of a mail.
    pub(crate) async fn admit_by_link(&self, user: &UserId, ticket: [u8; 16], network: Network) -> Result<(), Failure> {
        let step = |draft: &mut Draft<'_>| {
            let Some(credential) = Credential::read(draft)? else { return Ok(Plain(None)) };
            let tag = network.tag(draft);
            guess::unlock_mail_clicked(draft, SHARED_KEY, credential.generation(), ticket, tag).map(Plain)
        };
        match self.act(user.account(), &[CREDENTIAL.name(), LEDGER.name()], step).await? {
            Some(ClientAdmission::Admitted { .. }) => Ok(()),
            Some(ClientAdmission::TooMany { retry_after }) => Err(ApiError::too_many(retry_after).into()),
            None => Err(ApiError::EMAIL_CODE.into()),
        }
    }

    /// Lets a network in by a login of the account and a fresh proof of the password.
    pub(crate) async fn admit_by_session(
        &self,
        token: &Token,
        sent: &SharedKey,
        network: Network,
    ) -> Result<NetworkAdmission, Failure> {
        let account: &AccountId = token.user().account();
        let slots = [tokens::TOKEN.at(token.slot()).name(), CREDENTIAL.name(), LEDGER.name()];
        self.with_shared_key(account, &slots, |draft, check| {
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

    /// Lets a network in at a kind of code by a login of the account and a code that it has just been shown.
    pub(crate) async fn admit_by_code(
        &self,
        token: &Token,
        code: &str,
        kind: CodeKind,
        network: Network,
    ) -> Result<NetworkAdmission, Failure> {
        let account: &AccountId = token.user().account();
        let session = token.slot();
        let own = [tokens::TOKEN.at(session).name(), StepUps::slot(&session)?];
        let slots: Vec<SlotName> = own.iter().chain(keywright_twofactor::SLOTS).copied().collect();
        let step = |draft: &mut Draft<'_>| {
            let Some(login) = tokens::verify_in(draft, token)?.filter(Login::may_act) else {
                return Ok(Verdict::NotEnrolled);
            };
            let client = login.client(draft, None);
            if Preset::LibrePass.is_form_of(code) {
                self.factors.step_up_recovery_in(draft, ADMIT_CLIENT, &session, code, client)
            } else {
                self.factors.step_up_totp_in(draft, ADMIT_CLIENT, &session, code, client)
            }
        };
        let proof = match self.act(account, &slots, step).await? {
            Verdict::Granted(proof) => proof,
            Verdict::Refused(refusal) => {
                return Ok(NetworkAdmission::Refused { retry_after: refusal.retry_after() });
            }
            Verdict::Denied(_) | Verdict::Malformed | Verdict::NotEnrolled => return Ok(NetworkAdmission::Denied),
        };
        // The proof is spent and names the account; what it opens is a commit of its own.
        let admit = |draft: &mut Draft<'_>| {
            let tag = network.tag(draft);
            self.factors.admit_client_in(draft, &proof, kind, tag).map(Plain)
        };
        let admission = self.act(account, keywright_twofactor::SLOTS, admit).await?;
        Ok(admission.map_or(NetworkAdmission::Denied, NetworkAdmission::from))
    }
}

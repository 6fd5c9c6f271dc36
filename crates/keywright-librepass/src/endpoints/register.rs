//! `POST auth/register`: a new account, and the name that is its address.
//!
//! Three commits: the account with an intent, the name's claim, the account's taking of the name. Whoever loses a race,
//! or crashed in between, leaves an account that owns no name: the loser erases it, or whoever takes the name next does.

use keywright_core::UnixSeconds;
use keywright_rekey::Creating;
use keywright_store::due::DueTask;
use keywright_store::names::{self, Claim, Intent, NameIndex, Ousted};
use keywright_store::{Draft, Partition, Slot, StepError, TransactError};
use serde::Deserialize;

use crate::account::{Credential, Verification, hint};
use crate::address::Address;
use crate::error::ApiError;
use crate::host::{Host, Subject};
use crate::mails::{self, Kind};
use crate::policy::LINK_SECONDS;
use crate::request::Input;
use crate::service::{Answered, Failure, Parts, Reply};
use crate::{ArgonParameters, PublicKey, SharedKey, UserId};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    email: String,
    password_hint: Option<String>,
    shared_key: String,
    parallelism: u32,
    memory: u32,
    iterations: u32,
    public_key: String,
}

/// A registration whose form is right.
struct Registration {
    user: UserId,
    address: Address,
    name: NameIndex,
    hint: Option<String>,
    parameters: ArgonParameters,
    public_key: PublicKey,
    /// What the mailed link carries.
    code: [u8; 16],
}

const SLOTS: [Slot; 4] = [Slot::Credential, Slot::Names, Slot::Due, Slot::VaultHead];

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let body: Body = input.json()?;
    let address = Address::parse(&body.email).ok_or(ApiError::VALIDATION)?;
    let hint = hint(body.password_hint)?;
    let parameters = ArgonParameters::new(body.parallelism, body.memory, body.iterations);
    let parameters = parameters.map_err(|_| ApiError::VALIDATION)?;
    parts.admit(input, Subject::Address(address.as_str()))?;
    let public_key = PublicKey::from_hex(&body.public_key).map_err(|_| ApiError::SHARED_KEY)?;
    let shared_key = SharedKey::from_hex(&body.shared_key).map_err(|_| ApiError::SHARED_KEY)?;
    // The sender has the private key. It guards nothing yet, so a wrong one is not charged.
    if !parts.are_a_pair(&public_key, &shared_key).await? {
        return Err(ApiError::SHARED_KEY.into());
    }
    let name = address.index(parts.driver.keyring())?;
    // Most addresses that are taken are found to be so before anything is written.
    if parts.is_taken(&name).await? {
        return Err(ApiError::DUPLICATED.into());
    }
    let entropy = &**parts.driver.entropy();
    let user = UserId::random(entropy).map_err(TransactError::from)?;
    let code = keywright_core::random_bytes(entropy).map_err(TransactError::from)?;
    let new = Registration { user, address, name, hint, parameters, public_key, code };
    let intent = parts.intend(&new).await?;
    let tasks = match parts.names.claim_with(&intent, erase_husk).await? {
        Claim::Ours(claimed) => parts.take(&new, &claimed).await?,
        _ => None,
    };
    let Some(tasks) = tasks else {
        parts.abandon(&new.user).await;
        return Err(ApiError::DUPLICATED.into());
    };
    parts.send(new.user.account(), &tasks).await;
    Ok(Reply::created())
}

impl<H: Host> Parts<H> {
    /// Whether somebody owns a name whom nobody may replace: a look, to write nothing where the answer is clear. The claim
    /// decides.
    pub(super) async fn is_taken(&self, name: &NameIndex) -> Result<bool, Failure> {
        let Some(account) = self.names.find(name).await? else { return Ok(false) };
        let look = |draft: &mut Draft<'_>| {
            let (credential, now) = (Credential::read_named(draft, name)?, draft.now());
            // A registration that was never verified keeps its name for as long as its first link is good.
            let waits = |made: UnixSeconds| made <= now && now < made.plus(LINK_SECONDS);
            Ok(credential.is_some_and(|credential| credential.is_verified() || waits(credential.changed)))
        };
        Ok(self.driver.observe(&Partition::account(&account), &SLOTS, look).await?)
    }

    /// The account, and that it is about to take its name.
    async fn intend(&self, new: &Registration) -> Result<Intent, Failure> {
        let step = |draft: &mut Draft<'_>| {
            draft.create_account()?;
            let verification = if self.policy.verify_email {
                Verification::waiting(self.code_hash(&new.user, &new.code), draft.now())
            } else {
                Verification::Verified
            };
            let public_key = new.public_key.duplicate();
            let hint = new.hint.clone();
            Credential::new(&new.address, hint, new.parameters, public_key, verification, draft.now()).put(draft)?;
            if !matches!(self.vaults.steps().create_in(draft)?, Creating::Created) {
                return Err(StepError::AccountExists);
            }
            names::intend(draft, &new.name)?.ok_or(StepError::AccountExists)
        };
        let partition = Partition::account(new.user.account());
        let (intent, receipt) = self.driver.transact(&partition, &SLOTS, step).await?;
        Ok(intent.release(&receipt)?)
    }

    /// The account takes its name, and the mail with the link is due. `None` if somebody was faster.
    async fn take(&self, new: &Registration, claimed: &names::Claimed) -> Result<Option<Vec<DueTask>>, Failure> {
        let step = |draft: &mut Draft<'_>| {
            let Some(credential) = Credential::read(draft)? else { return Ok(None) };
            let Verification::Waiting { until, .. } = credential.verification else {
                return Ok(names::take(draft, claimed)?.then(Vec::new));
            };
            if !names::take_provisional(draft, claimed, until)? {
                return Ok(None);
            }
            let link = self.verification_link(&new.user, &new.code);
            Ok(Some(vec![mails::add_in(draft, &new.address, Kind::VerifyAddress { link })?]))
        };
        Ok(self.driver.transact(&Partition::account(new.user.account()), &SLOTS, step).await?.0)
    }

    /// Erases an account that lost its name before it had it; who took the name may have done so already. If this fails,
    /// an account is left that nobody can find.
    async fn abandon(&self, user: &UserId) {
        let step = |draft: &mut Draft<'_>| erase_if_nameless(draft);
        match self.driver.transact(&Partition::account(user.account()), &SLOTS, step).await {
            Ok(_) | Err(TransactError::Step(StepError::NoAccount)) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a registration that lost its name is left behind"
            ),
        }
    }

    /// What is stored of a link's code.
    pub(super) fn code_hash(&self, user: &UserId, code: &[u8; 16]) -> [u8; 32] {
        self.links.mac(&[b"librepass-verify", user.as_bytes(), code])
    }

    /// The link of a code. The wire has a UUID there; all of its 128 bits are random.
    pub(super) fn verification_link(&self, user: &UserId, code: &[u8; 16]) -> String {
        let code = keywright_rekey::id_text(keywright_store::CipherId(*code));
        format!("{}/api/auth/verifyEmail?user={user}&code={code}", self.policy.public_url)
    }
}

/// Ends an account in the very commit that takes its name away, if the name was all it had: a registration that crashed
/// or was never verified. One that is about to move to the name keeps its old name, and all else.
pub(super) fn erase_husk(draft: &mut Draft<'_>, _: Ousted) -> Result<(), StepError> {
    erase_if_nameless(draft)
}

fn erase_if_nameless(draft: &mut Draft<'_>) -> Result<(), StepError> {
    if names::owned(draft)?.is_empty() && Credential::read(draft)?.is_some() {
        draft.erase(&[])?;
    }
    Ok(())
}

//! `POST auth/register`: a new account that waits for its address, or has it at once where nothing is verified.
//!
//! Several may wait for one address; whoever opens the mailed link first has it. A registration is noted at the address
//! first, which counts its mail, and made then. Its partition has an expiry until it is verified, so what is never verified
//! is swept whole, and so is what a crash leaves.
//!
//! Without verification the address is claimed here: the account with an intent, the name's claim, the account's taking of
//! the name. Whoever loses that race erases itself.

use keywright_core::{AccountId, Generation};
use keywright_rekey::{Creating, VAULT_SLOT};
use keywright_store::due::DUE;
use keywright_store::guess::{self, LEDGER};
use keywright_store::names::{self, ClaimOutcome, Evicted, Intent, NAMES, NameIndex};
use keywright_store::{Draft, Partition, SlotName, StepError, Tentative, TransactError};
use keywright_wire::Network;
use serde::Deserialize;

use crate::account::credential::{CREDENTIAL, Credential, Verification, hint};
use crate::account::guard::SHARED_KEY;
use crate::account::mails::{self, Kind};
use crate::account::waiting::{self, WAITING};
use crate::policy::LINK_SECONDS;
use crate::protocol::address::Address;
use crate::protocol::keys::{PublicKey, SharedKey};
use crate::protocol::parameters::ArgonParameters;
use crate::protocol::user::UserId;
use crate::wire::error::ApiError;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;
use crate::wire::service::{Answered, Failure, Parts, Reply};

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
    network: Option<Network>,
    /// Where it comes from, for the mail.
    origin: Option<String>,
}

const SLOTS: [SlotName; 5] = [CREDENTIAL.name(), NAMES.name(), LEDGER.name(), VAULT_SLOT, DUE.name()];

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
    let name = address.index(parts.driver.keyring());
    // Most addresses that are taken are found to be so before anything is written.
    if parts.is_taken(&name).await? {
        return Err(ApiError::DUPLICATED.into());
    }
    let entropy = &**parts.driver.entropy();
    let user = UserId::random(entropy).map_err(TransactError::from)?;
    let code = keywright_core::random_bytes(entropy).map_err(TransactError::from)?;
    let network = parts.network(input);
    let origin = origin(network, input.client_name());
    let new = Registration { user, address, name, hint, parameters, public_key, code, network, origin };
    if parts.policy.verify_email {
        parts.wait(&new).await?
    } else {
        parts.take_at_once(&new).await?
    }
    Ok(Reply::created())
}

/// What the mail says of where a registration came from.
fn origin(network: Option<Network>, client: Option<&str>) -> Option<String> {
    match (network, client) {
        (Some(network), Some(client)) => Some(format!("{network} ({client})")),
        (Some(network), None) => Some(network.to_string()),
        (None, client) => client.map(str::to_owned),
    }
}

impl<H: Host> Parts<H> {
    /// Whether somebody owns a name: a look, to write nothing where the answer is clear. A claim decides.
    pub(super) async fn is_taken(&self, name: &NameIndex) -> Result<bool, Failure> {
        Ok(self.names.find(name).await?.is_some())
    }

    /// Whether a registration waits for an address.
    pub(super) async fn is_waited_for(&self, address: &Address) -> Result<bool, Failure> {
        if !self.policy.verify_email {
            return Ok(false);
        }
        let partition = address.waiting_partition(self.driver.keyring());
        Ok(self.driver.observe(&partition, &[WAITING.name()], waiting::is_waited_for).await?)
    }

    /// Makes the account that waits for its address, and sends its link.
    async fn wait(&self, new: &Registration) -> Result<(), Failure> {
        let account = new.user.account();
        let partition = new.address.waiting_partition(self.driver.keyring());
        let note = |draft: &mut Draft<'_>| waiting::add_in(draft, account, new.network);
        let noted = self.driver.transact(&partition, &[WAITING.name()], note).await?;
        noted.map_err(ApiError::too_many)?;
        let step = |draft: &mut Draft<'_>| {
            let code = self.code_hash(&new.user, &new.code);
            let verification = Verification::waiting(code, new.origin.clone(), draft.now());
            self.create_in(draft, new, verification)?;
            self.send_link_in(draft, new)
        };
        self.driver.transact(&Partition::account(account), &SLOTS, step).await?;
        self.see_to_mails(account).await;
        Ok(())
    }

    fn send_link_in(&self, draft: &mut Draft<'_>, new: &Registration) -> Result<(), StepError> {
        let link = self.verification_link(&new.user, &new.code);
        let until = draft.now().plus(LINK_SECONDS);
        mails::asked_in(draft, &new.address, Kind::VerifyAddress { link, origin: new.origin.clone() }, until)
    }

    /// Makes the account and takes the address, without a mail.
    async fn take_at_once(&self, new: &Registration) -> Result<(), Failure> {
        let partition = Partition::account(new.user.account());
        let intent = self.driver.run(&partition, &SLOTS, |draft| self.intend_in(draft, new)).await?;
        if let ClaimOutcome::Ours(claimed) = self.names.claim_with(&intent, &ORPHAN_SLOTS, erase_orphan).await? {
            let step = |draft: &mut Draft<'_>| {
                let taken = Credential::read(draft)?.is_some() && names::take(draft, &claimed)?;
                if taken {
                    draft.make_permanent()?;
                }
                Ok(taken)
            };
            if self.driver.run(&partition, &SLOTS, step).await? {
                return Ok(());
            }
        }
        self.abandon(new.user.account()).await;
        Err(ApiError::DUPLICATED.into())
    }

    /// The account, and that it is about to take its name.
    fn intend_in(&self, draft: &mut Draft<'_>, new: &Registration) -> Result<Tentative<Intent>, StepError> {
        self.create_in(draft, new, Verification::Verified)?;
        names::intend(draft, &new.name)?.ok_or(StepError::AccountExists)
    }

    /// The account's records, which are swept whole unless they are made permanent. Whoever registers knows the password,
    /// so its network is known from the start.
    fn create_in(
        &self,
        draft: &mut Draft<'_>,
        new: &Registration,
        verification: Verification,
    ) -> Result<(), StepError> {
        draft.create_account()?;
        draft.expire_partition(draft.now().plus(LINK_SECONDS))?;
        let generation = Generation::random(draft.entropy())?;
        let (hint, public_key) = (new.hint.clone(), new.public_key.duplicate());
        let credential =
            Credential::new(&new.address, hint, new.parameters, public_key, generation, verification, draft.now());
        credential.put(draft)?;
        if let Some(network) = new.network {
            let tag = network.tag(draft);
            guess::renew(draft, SHARED_KEY, Generation::HOST, generation, &[tag])?;
        }
        match self.vaults.steps().create_in(draft)? {
            Creating::Created => Ok(()),
            _ => Err(StepError::AccountExists),
        }
    }

    /// Erases an account that lost its name before it had it; who took the name may have done so already. If this fails,
    /// an account is left that nobody can find, until it is swept.
    async fn abandon(&self, account: &AccountId) {
        match self.driver.transact(&Partition::account(account), &SLOTS, erase_if_nameless).await {
            Ok(()) | Err(TransactError::Step(StepError::NoAccount)) => {}
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

/// What [`erase_orphan`] reads.
pub(super) const ORPHAN_SLOTS: [SlotName; 2] = [CREDENTIAL.name(), NAMES.name()];

/// Ends an account in the very commit that takes its name away, if the name was all it had: a registration without
/// verification that crashed. One that is about to move to the name keeps its old name, and all else; one that waits for
/// its link keeps waiting.
pub(super) fn erase_orphan(draft: &mut Draft<'_>, _: Evicted) -> Result<(), StepError> {
    erase_if_nameless(draft)
}

fn erase_if_nameless(draft: &mut Draft<'_>) -> Result<(), StepError> {
    if names::owned(draft)?.is_empty() && Credential::read(draft)?.is_some_and(|credential| credential.is_verified()) {
        draft.erase(&[])?;
    }
    Ok(())
}

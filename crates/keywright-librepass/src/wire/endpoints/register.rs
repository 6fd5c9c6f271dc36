//! `POST auth/register`: makes a new account, which waits for its address, or has it immediately
//! where nothing is verified.
//!
//! Several registrations may wait for one address; the first whose mailed link is opened gets it. A
//! registration is first recorded at the address, which counts its mail, and the account is made
//! then. The account's partition has an expiry until the address is verified, so an account that is
//! never verified is swept whole, and so is one that a crash leaves behind.
//!
//! Without verification the address is claimed here in three commits: the account with an intent,
//! the name's claim, the account's taking of the name. An account that loses that race erases
//! itself.

use keywright_core::{AccountId, Generation};
use keywright_rekey::{CreateOutcome, VAULT_SLOT};
use keywright_store::due::DUE;
use keywright_store::guess::{self, LEDGER};
use keywright_store::names::{self, ClaimOutcome, Intent, NAMES, NameIndex};
use keywright_store::{Draft, Partition, SlotName, StepError, Tentative, TransactError};
use keywright_wire::Network;
use keywright_wire::Reply;
use serde::Deserialize;

use crate::account::claim::erase_if_nameless;
use crate::account::credential::{CREDENTIAL, Credential, SHARED_KEY, Verification};
use crate::account::mails::{self, Kind};
use crate::account::waiting::{self, WAITING};
use crate::policy::LINK_SECONDS;
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::hint;
use crate::protocol::keys::{PublicKey, SharedKey};
use crate::protocol::parameters::ArgonParameters;
use crate::protocol::user::UserId;
use crate::wire::answer::{Failure, created};
use crate::wire::claim;
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;

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

/// A well-formed registration.
struct Registration {
    user: UserId,
    address: Address,
    name: NameIndex,
    hint: Option<String>,
    parameters: ArgonParameters,
    public_key: PublicKey,
    /// The code that the mailed link carries.
    code: [u8; 16],
    network: Option<Network>,
    /// Where the registration comes from, for the mail.
    origin: Option<String>,
}

const SLOTS: [SlotName; 5] = [CREDENTIAL.name(), NAMES.name(), LEDGER.name(), VAULT_SLOT, DUE.name()];

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let body: Body = input.json()?;
    let address = Address::parse(&body.email).ok_or(ApiError::VALIDATION)?;
    let hint = hint::parse(body.password_hint)?;
    let parameters = ArgonParameters::new(body.parallelism, body.memory, body.iterations);
    let parameters = parameters.map_err(|_| ApiError::VALIDATION)?;
    cx.admit(input, Subject::Address(address.as_str()))?;
    let public_key = PublicKey::from_hex(&body.public_key).map_err(|_| ApiError::SHARED_KEY)?;
    let shared_key = SharedKey::from_hex(&body.shared_key).map_err(|_| ApiError::SHARED_KEY)?;
    // This shows that the sender has the private key. It guards nothing yet, so a wrong key is not
    // charged.
    if !cx.are_a_pair(&public_key, &shared_key).await? {
        return Err(ApiError::SHARED_KEY.into());
    }
    let name = address.index(cx.driver.keyring());
    // This detects most addresses that are taken before anything is written.
    if cx.is_taken(&name).await? {
        return Err(ApiError::DUPLICATED.into());
    }
    let entropy = &**cx.driver.entropy();
    let user = UserId::random(entropy).map_err(TransactError::from)?;
    let code = keywright_core::random_bytes(entropy).map_err(TransactError::from)?;
    let network = cx.network(input);
    let origin = origin(network, input.client_name());
    let new = Registration { user, address, name, hint, parameters, public_key, code, network, origin };
    if cx.policy.verify_email {
        wait(cx, &new).await?
    } else {
        take_at_once(cx, &new).await?
    }
    Ok(created())
}

/// Returns the mail's text about where a registration came from.
fn origin(network: Option<Network>, client: Option<&str>) -> Option<String> {
    match (network, client) {
        (Some(network), Some(client)) => Some(format!("{network} ({client})")),
        (Some(network), None) => Some(network.to_string()),
        (None, client) => client.map(str::to_owned),
    }
}

/// Makes the account that waits for its address, and sends its link.
async fn wait<H: Host>(cx: &Context<H>, new: &Registration) -> Result<(), Failure> {
    let account = new.user.account();
    let partition = new.address.waiting_partition(cx.driver.keyring());
    let note = |draft: &mut Draft<'_>| waiting::add_in(draft, account, new.network);
    let noted = cx.driver.transact(&partition, &[WAITING.name()], note).await?;
    noted.map_err(ApiError::too_many_mails)?;
    let step = |draft: &mut Draft<'_>| {
        let code = cx.code_hash(&new.user, &new.code);
        let verification = Verification::waiting(code, new.origin.clone(), draft.now());
        create_in(cx, draft, new, verification)?;
        send_link_in(cx, draft, new)
    };
    cx.driver.transact(&Partition::account(account), &SLOTS, step).await?;
    cx.see_to_mails(account).await;
    Ok(())
}

fn send_link_in<H: Host>(cx: &Context<H>, draft: &mut Draft<'_>, new: &Registration) -> Result<(), StepError> {
    let link = cx.verification_link(&new.user, &new.code);
    let until = draft.now().plus(LINK_SECONDS);
    mails::asked_in(draft, &new.address, Kind::VerifyAddress { link, origin: new.origin.clone() }, until)
}

/// Makes the account and takes the address, without a mail.
async fn take_at_once<H: Host>(cx: &Context<H>, new: &Registration) -> Result<(), Failure> {
    let partition = Partition::account(new.user.account());
    let intent = cx.driver.run(&partition, &SLOTS, |draft| intend_in(cx, draft, new)).await?;
    if let ClaimOutcome::Ours(claimed) = claim::claim(cx, &intent).await? {
        let step = |draft: &mut Draft<'_>| {
            let taken = Credential::read(draft)?.is_some() && names::take(draft, &claimed)?;
            if taken {
                draft.make_permanent()?;
            }
            Ok(taken)
        };
        if cx.driver.run(&partition, &SLOTS, step).await? {
            return Ok(());
        }
    }
    abandon(cx, new.user.account()).await;
    Err(ApiError::DUPLICATED.into())
}

/// Makes the account, with the intent to take its name.
fn intend_in<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    new: &Registration,
) -> Result<Tentative<Intent>, StepError> {
    create_in(cx, draft, new, Verification::Verified)?;
    names::intend(draft, &new.name)?.ok_or(StepError::AccountExists)
}

/// Makes the account's records, which are swept whole unless they are made permanent. A client that
/// registers knows the password, so its network is known from the start.
fn create_in<H: Host>(
    cx: &Context<H>,
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
    match cx.vaults.steps().create_in(draft)? {
        CreateOutcome::Created => Ok(()),
        CreateOutcome::Exists => Err(StepError::AccountExists),
    }
}

/// Erases an account that lost its name before it had it; the account that took the name may have
/// done so already. If this fails, an account is left that nobody can find, until it is swept.
async fn abandon<H: Host>(cx: &Context<H>, account: &AccountId) {
    match cx.driver.transact(&Partition::account(account), &SLOTS, erase_if_nameless).await {
        Ok(()) | Err(TransactError::Step(StepError::NoAccount)) => {}
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a registration that lost its name is left behind")
        }
    }
}

//! The check of a log-in's password, under the account's guess ledger. A name without an account
//! takes the same path, on a ledger that stands in for the account's.

use keywright::core::{Attempt, Event, Refusal};
use keywright::nextcloud::queue::{Requester, withdraw_if_busy};
use keywright::rocketchat::events::LOGGED_IN;
use keywright::selfservice::{Decoys, HostError, LOGIN_PASSWORD, Network};
use keywright::store::guess::{self, LEDGER};
use keywright::store::{Draft, Partition};
use keywright::twofactor::{SLOTS, TwoFactorSteps};
use keywright::{AccountId, Client, Driver, Generation, SecretString};

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::signin::sessions::credential;

/// What came of a name and a password.
pub(crate) enum Checked {
    /// They are right.
    Right {
        account: AccountId,
        /// The credential epoch in which they were.
        epoch: u64,
        factor: Factor,
    },
    Wrong,
    /// Nothing was checked.
    Refused(Refusal),
    /// Earlier guesses are being checked.
    Busy,
}

/// What the account requires besides the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    None,
    Code,
    /// Mailed codes alone, which these pages do not send.
    Mailed,
}

/// Returns the sender of a log-in: its network. A right guess makes the session known as well, which
/// is about to be opened under `token`.
pub(crate) fn client(driver: &Driver, account: &AccountId, network: Option<Network>, token: &SecretString) -> Client {
    let client = match network {
        Some(network) => Client::network(driver.client_tag(account, &network.credential())),
        // Behind a proxy that names no address, nothing tells clients apart before they are let in.
        None => Client::unknown(),
    };
    client.introducing(driver.client_tag(account, &credential(token)), None)
}

/// Checks a name and a password.
///
/// # Errors
/// A [`HostError`] if the accounts cannot be read, or the queue for hashes is full.
pub(crate) async fn check(
    accounts: &Accounts,
    decoys: &Decoys,
    steps: &TwoFactorSteps,
    (name, password): (&str, &SecretString),
    network: Option<Network>,
    token: &SecretString,
) -> Result<Checked, HostError> {
    let driver = accounts.driver();
    let account = accounts.find(name).await.map_err(AccountsError::into_host_error)?;
    let partition = account.as_ref().map_or_else(|| decoys.of_name(name), Partition::account);
    let attempt = |draft: &Draft<'_>| {
        let client = match &account {
            Some(account) => client(driver, account, network, token),
            None => network.map_or_else(Client::unknown, |network| Client::network(network.tag(draft))),
        };
        Attempt::new(LOGIN_PASSWORD, Generation::HOST, client)
    };
    // A flood is refused before anything is committed for it.
    let look = |draft: &mut Draft<'_>| guess::peek_standing(draft, &attempt(draft));
    let standing = driver.observe(&partition, &[LEDGER.name()], look).await.map_err(busy)?;
    if let Some(standing) = standing {
        let admitted = accounts.admit_guess(&Requester::new(partition.clone(), standing));
        admitted.map_err(AccountsError::into_host_error)?;
    }
    let begin = |draft: &mut Draft<'_>| guess::begin(draft, &attempt(draft));
    let begun = driver.transact(&partition, &[LEDGER.name()], begin).await.map_err(busy)?;
    let pending = match begun {
        Ok(pending) => pending,
        Err(refusal) if refusal.is_unjudged() => return Ok(Checked::Busy),
        Err(refusal) => return Ok(Checked::Refused(refusal)),
    };
    let requester = Requester::of_guess(partition, &pending).with_admitted(standing.is_some());
    let right = match accounts.check_password(account.as_ref(), password, &requester).await {
        Ok(right) => right,
        Err(error) => {
            let error = AccountsError::into_host_error(error);
            withdraw_if_busy(driver, &requester, &pending, &error).await;
            return Err(error);
        }
    };
    let slots: Vec<_> = SLOTS.iter().copied().chain([LEDGER.name()]).collect();
    let is_real = right && account.is_some();
    let settle = |draft: &mut Draft<'_>| {
        if !is_real {
            guess::settle_wrong(draft, &pending)?;
            return Ok(None);
        }
        if !guess::settle_right(draft, &pending)? {
            return Ok(None);
        }
        let enrolled = steps.enrolled_in(draft)?;
        let factor = match (enrolled.has_factor() || enrolled.recovery.is_some_and(|left| left > 0), enrolled.email) {
            (true, _) => Factor::Code,
            (false, true) => Factor::Mailed,
            (false, false) => Factor::None,
        };
        if factor == Factor::None {
            draft.event(Event::new(&LOGGED_IN));
        }
        Ok(Some((draft.root()?.epochs().credential, factor)))
    };
    let settled = driver.transact(requester.partition(), &slots, settle).await.map_err(busy)?;
    Ok(match (settled, account) {
        (Some((epoch, factor)), Some(account)) => Checked::Right { account, epoch, factor },
        _ => Checked::Wrong,
    })
}

/// Converts an error of the store: a busy account can be asked again soon.
pub(crate) fn busy(error: keywright::TransactError) -> HostError {
    if error.is_busy() { HostError::busy(1) } else { HostError::new(error) }
}

/// Returns the error of a request whose second factors could not be read or changed.
pub(crate) fn two_factor_error(error: keywright::twofactor::TwoFactorError) -> HostError {
    match error {
        keywright::twofactor::TwoFactorError::Transact(error) => busy(error),
        error => HostError::new(error),
    }
}

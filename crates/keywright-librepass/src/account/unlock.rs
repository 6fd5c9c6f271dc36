//! The way in for an owner whom other clients have locked out by guessing: the mail with its link.
//!
//! Where the host knows the networks that requests come from
//! ([`Host::client_address`](crate::Host::client_address)), a refusal that lasts makes a mail due,
//! as rarely as the ledger specifies. Its link shows a page; the button's POST admits one network
//! for ten tries in an hour. The link proves nothing else: nobody logs in by it.

use keywright_core::{Attempt, Refusal};
use keywright_store::due::{DUE, DueList};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, StepError};
use keywright_wire::Network;

use crate::account::mails::{self, Kind};
use crate::protocol::address::Address;

/// The path of the link.
pub(crate) const LINK_PATH: &str = "/api/auth/admitClient";

/// Whether a refusal makes a mail due, in which case it is worth a commit.
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

/// Makes the owner's mail due in the commit that settles a refusal, if one may be sent now. `owner`
/// is the account's address and the base of links; it is `None` for a decoy, which has the same
/// commit and no mail.
///
/// Without a network there is no client that a link could admit. A mail that finds no room among
/// the host's work is left out; the next refusal tries again.
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
    let shut_out = draft.read(LEDGER)?.and_then(|ledger| ledger.lockout_summary(attempt));
    let code = hex::encode(mail.ticket);
    let kind = Kind::ClientsRefused {
        link: format!("{public_url}{LINK_PATH}?user={account}&code={code}&from={network}"),
        network: network.to_string(),
        wrong_guesses: shut_out.map_or(0, |shut_out| shut_out.wrong_guesses),
        hours: shut_out.map_or(1, |shut_out| now.since(shut_out.since).div_ceil(3_600).max(1)),
    };
    // The mail stays due for as long as its link works. Anybody can cause it, so it can be dropped.
    mails::asked_in(draft, address, kind, mail.until)
}

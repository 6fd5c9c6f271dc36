//! How the guess ledger names the client that sends a guess: by an app token, a session, or the
//! network that a request comes from.

use keywright_core::{Attempt, Client, ClientTag, Generation};
use keywright_store::{Draft, StepError, guess};
use keywright_wire::Network;

use crate::host::{AppTokenId, Login};
use crate::session::{Presented, Session};
use crate::unlock::LOGIN_PASSWORD;

/// The prefixes of credentials, so that no app token or session ever has the tag of another kind,
/// or of a network.
const TOKEN: &[u8] = b"nextcloud/app-token/";
const SESSION: &[u8] = b"nextcloud/session/";

/// Where a login comes from: the session id and the network.
pub(crate) struct Origin<'p> {
    pub(crate) presented: Option<&'p Presented>,
    pub(crate) network: Option<Network>,
}

/// Returns an attempt at the login password.
pub(crate) const fn attempt(client: Client) -> Attempt {
    Attempt::new(LOGIN_PASSWORD, Generation::HOST, client)
}

/// Returns the bytes that name an app token to the ledger.
pub(crate) fn token_credential(token: &AppTokenId) -> Vec<u8> {
    [TOKEN, token.0.as_bytes()].concat()
}

pub(crate) fn token_tag(draft: &Draft<'_>, token: &AppTokenId) -> ClientTag {
    draft.client_tag(&token_credential(token))
}

fn session_tag(draft: &Draft<'_>, selector: &[u8; 16]) -> ClientTag {
    draft.client_tag(&[SESSION, selector.as_slice()].concat())
}

/// Returns the client that proves the challenge or a second factor. A session counts as the
/// credential that opened it. A login by password without such a session is named by its network
/// or, if the host knows no network, by the session that it is about to open.
pub(crate) fn prover(draft: &Draft<'_>, login: &Login, network: Option<Network>, session: &Session) -> Client {
    let network = network.map(|network| network.tag(draft));
    let credential = match login {
        Login::AppToken(token) => Some(token_tag(draft, token)),
        Login::Password => session.opened_by(),
    };
    match (credential, network) {
        (Some(credential), Some(network)) => Client::credential(credential).on_network(network),
        (Some(credential), None) => Client::credential(credential),
        (None, Some(network)) => Client::network(network),
        (None, None) => Client::credential(session_tag(draft, session.next_selector())),
    }
}

/// Returns the clients that are known at a new challenge from the start: the client that sets it. A
/// login by password may later return without a session, so its network is known too.
pub(crate) fn changed_by(login: &Login, client: &Client) -> Vec<ClientTag> {
    let network = client.network_tag().filter(|_| *login == Login::Password);
    let mut tags: Vec<ClientTag> = client.tag().into_iter().chain(network).collect();
    tags.dedup();
    tags
}

/// Returns the client that logs in by password: the session whose id came along, if it passed by
/// this password before, otherwise the network. A session becomes known only where the host knows
/// no networks, because ids change more often than networks do.
///
/// `selector` is that of an id that this server issued for this account in the current epoch.
pub(crate) fn password_client(
    draft: &mut Draft<'_>,
    network: Option<Network>,
    selector: Option<&[u8; 16]>,
) -> Result<Client, StepError> {
    let network = network.map(|network| network.tag(draft));
    let by_network = network.map_or_else(Client::unknown, Client::network);
    let Some(selector) = selector else { return Ok(by_network) };
    let by_session = Client::credential(session_tag(draft, selector));
    let by_session = network.map_or(by_session, |network| by_session.on_network(network));
    if network.is_none() {
        return Ok(by_session);
    }
    let (ledger, policy) = (draft.read(guess::LEDGER)?, draft.ledger_policy());
    let is_known = ledger.is_some_and(|ledger| ledger.is_known(policy, &attempt(by_session)));
    Ok(if is_known { by_session } else { by_network })
}

/// Lets a session that is known at the login password stay known under a new id, in the commit that
/// issues the id.
pub(crate) fn follow(draft: &mut Draft<'_>, from: &[u8; 16], to: &[u8; 16]) -> Result<(), StepError> {
    if from == to {
        return Ok(());
    }
    let attempt = attempt(Client::credential(session_tag(draft, from)));
    guess::rename_client(draft, &attempt, session_tag(draft, to))
}

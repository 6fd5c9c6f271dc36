//! Who sends a guess, for the guess ledger: an app token, a session, or the network that a request comes from.

use std::net::{IpAddr, Ipv6Addr};

use keywright_core::{Client, ClientTag, SecretKind};
use keywright_store::{Draft, StepError, guess};

use crate::host::{AppTokenId, Login};
use crate::session::Session;

/// The kind of secret that a login password is, in the account's guess ledger. Wires that check the same password charge
/// the same entry.
pub const LOGIN_PASSWORD: SecretKind = SecretKind::new("login-password");

/// The bits of an IPv6 address that name a network. The others name an interface (RFC 4291 § 2.5.1), and whoever has a
/// network can call from any of them.
const IPV6_NETWORK: u128 = !0 << 64;

/// What credentials begin with, so that no app token, session or network ever has the tag of another kind.
const TOKEN: &[u8] = b"nextcloud/app-token/";
const SESSION: &[u8] = b"nextcloud/session/";
const NETWORK: &[u8] = b"network/";

/// A network: an IPv4 address, or the upper half of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(IpAddr);

impl Network {
    /// The network of an address. An IPv4 address is one in either notation.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK)),
            address @ IpAddr::V4(_) => address,
        })
    }

    /// The name of the network, for people and for its tag.
    pub(crate) fn name(self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("{address}/64"),
        }
    }

    /// The bytes that name it to the ledger.
    pub(crate) fn credential(self) -> Vec<u8> {
        [NETWORK, self.name().as_bytes()].concat()
    }

    pub(crate) fn tag(self, draft: &Draft<'_>) -> ClientTag {
        draft.client_tag(&self.credential())
    }
}

/// The bytes that name an app token to the ledger.
pub(crate) fn token_credential(token: &AppTokenId) -> Vec<u8> {
    [TOKEN, token.0.as_bytes()].concat()
}

pub(crate) fn token_tag(draft: &Draft<'_>, token: &AppTokenId) -> ClientTag {
    draft.client_tag(&token_credential(token))
}

fn session_tag(draft: &Draft<'_>, selector: &[u8; 16]) -> ClientTag {
    draft.client_tag(&[SESSION, selector.as_slice()].concat())
}

/// Who proves the challenge, or a second factor. A session counts as the credential that opened it. A login by password
/// without such a session is named by its network; where the host knows none, by the session that it is about to open.
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

/// Who will be known at a new challenge from the start: the client that sets it. A login by password comes back without
/// a session one day, so its network is known too.
pub(crate) fn changed_by(login: &Login, client: &Client) -> Vec<ClientTag> {
    let network = client.network_tag().filter(|_| *login == Login::Password);
    let mut tags: Vec<ClientTag> = client.tag().into_iter().chain(network).collect();
    tags.dedup();
    tags
}

/// Who logs in by password: the session whose id came along, if it passed by this password before, else the network.
/// `selector` is that of an id of ours, of this account and of the present epoch.
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
    let Some(ledger) = draft.read(guess::LEDGER)? else { return Ok(by_session) };
    let policy = draft.ledger_policy();
    let is_known = |client| ledger.is_known(policy, &crate::login::attempt(client));
    // Every answer carries a new id as long as none is saved: the network is the steadier name, where it is known.
    Ok(if !is_known(by_session) && is_known(by_network) { by_network } else { by_session })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_client_and_a_mapped_address_is_its_ipv4() {
        for (address, name) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(Network::of(address.parse().unwrap()).name(), name);
        }
    }
}

//! Who guesses, and at what.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ledger::secret::{Generation, SecretKind};

/// Names a credential or a network: the first 16 bytes of an index HMAC of it. Not a secret, and it does not reveal what
/// it names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientTag([u8; 16]);

impl ClientTag {
    /// Returns the tag with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for ClientTag {
    /// Writes the first four bytes, which are enough to tell clients apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "ClientTag({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// Who sent a guess, as far as the request shows: a credential that was issued before (app token, login token; a session
/// counts as the credential that opened it), the network that it comes from (an IPv4 address, an IPv6 /64), both, or
/// neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    credential: Option<ClientTag>,
    network: Option<ClientTag>,
    introduced: Option<ClientTag>,
    /// Whose place the introduced tag takes.
    replaced: Option<ClientTag>,
}

impl Client {
    /// Returns a client of which nothing is known. It is always an unknown client and cannot become known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { credential: None, network: None, introduced: None, replaced: None }
    }

    /// Returns a client that presents a credential. Only a credential that the server has verified may be named here.
    #[must_use]
    pub const fn credential(tag: ClientTag) -> Self {
        Self { credential: Some(tag), network: None, introduced: None, replaced: None }
    }

    /// Returns a client that presents no credential, named for its network.
    #[must_use]
    pub const fn network(tag: ClientTag) -> Self {
        Self { credential: None, network: Some(tag), introduced: None, replaced: None }
    }

    /// Returns this client, on a network. The network counts for admissions, and names the client if it presents no
    /// credential.
    #[must_use]
    pub const fn on_network(self, tag: ClientTag) -> Self {
        Self { network: Some(tag), ..self }
    }

    /// Returns this client, with another of its tags that becomes known by the same right guess: the login token that the
    /// guess is about to obtain, say. It decides nothing about the guess itself.
    ///
    /// It is a known client like any other. Where there is no place for one more, it takes that of `instead_of`, if that is
    /// a known client, and else that of the client that was right longest ago: so that log-ins which come again and again
    /// from one place do not push out those from other places.
    #[must_use]
    pub const fn introducing(self, tag: ClientTag, instead_of: Option<ClientTag>) -> Self {
        Self { introduced: Some(tag), replaced: instead_of, ..self }
    }

    /// Returns this client, named for its network as if it presented no credential; a right guess makes the credential known
    /// too. For a credential that has lost its place, on a network that has one: it must not count for less than nothing.
    #[must_use]
    pub const fn by_network(self) -> Self {
        let introduced = match self.introduced {
            Some(tag) => Some(tag),
            None => self.credential,
        };
        Self { credential: None, introduced, ..self }
    }

    /// Returns the tag by which the client is known, or becomes known with a right guess: its credential's, else its
    /// network's. A client with an unknown credential is unknown on a known network too.
    #[must_use]
    pub const fn tag(&self) -> Option<ClientTag> {
        match self.credential {
            Some(tag) => Some(tag),
            None => self.network,
        }
    }

    /// Returns the network's tag.
    #[must_use]
    pub const fn network_tag(&self) -> Option<ClientTag> {
        self.network
    }

    /// Returns every tag that becomes known by a right guess of this client, each once; [`tag`](Self::tag) is the last.
    pub fn known_tags(&self) -> impl Iterator<Item = ClientTag> + use<> {
        let tag = self.tag();
        self.introduced.filter(|introduced| tag != Some(*introduced)).into_iter().chain(tag)
    }

    /// Returns the tag whose place the introduced one takes.
    pub(super) const fn replaced_tag(&self) -> Option<ClientTag> {
        self.replaced
    }

    /// Whether an admission of `tag` is one of this client.
    pub(super) fn is_named_by(&self, tag: ClientTag) -> bool {
        self.credential == Some(tag) || self.network == Some(tag)
    }
}

/// One guess, before it is looked at: at which secret, of which generation, and who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a guess is these three things; callers build it in one expression")]
pub struct Attempt {
    /// The kind of secret.
    pub secret: SecretKind,
    /// The generation of the secret, from the record that holds it.
    pub generation: Generation,
    /// Who sent the guess.
    pub client: Client,
}

impl Attempt {
    /// Returns an attempt.
    #[must_use]
    pub const fn new(secret: SecretKind, generation: Generation, client: Client) -> Self {
        Self { secret, generation, client }
    }
}

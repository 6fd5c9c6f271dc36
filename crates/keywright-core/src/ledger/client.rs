//! The client that sends a guess, and the secret at which the guess is aimed.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ledger::secret::{Generation, SecretKind};
use crate::seal::append_lp;

/// The name of a credential or a network: the first 16 bytes of an index HMAC of it. It is not a
/// secret, and it does not reveal what it names.
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

    /// Parses the form that [`Display`](fmt::Display) writes, or returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let tag = Self(bytes);
        // Each tag has exactly one spelling, so upper-case digits are refused.
        (tag.to_string() == text).then_some(tag)
    }

    /// Returns the mark by which events name this client.
    #[must_use]
    pub fn mark(self) -> ClientMark {
        let mut message = MARK_LABEL.to_vec();
        append_lp(&mut message, &[&self.0]);
        ClientMark(Sha256::digest(&message).first_chunk().copied().unwrap_or_default())
    }
}

/// The label of a mark (`docs/security.md` § 3).
const MARK_LABEL: &[u8] = b"keywright/v1/client-mark";

/// The name of a client in the security log of an account: it stays the same for a credential, and
/// differs between accounts. It is a digest of the credential's [`ClientTag`], is no secret and
/// authorizes nothing.
///
/// Only a client that presents a credential has a mark ([`Client::mark`]). A network has none: the
/// log is kept in clear, and who has the keyring could find an address by trying them all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientMark([u8; 8]);

impl ClientMark {
    /// Parses the form that [`Display`](fmt::Display) writes, or returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let mark = Self(bytes);
        (mark.to_string() == text).then_some(mark)
    }
}

impl fmt::Display for ClientMark {
    /// Writes sixteen lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClientMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientMark({self})")
    }
}

impl fmt::Display for ClientTag {
    /// Writes all sixteen bytes as lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClientTag {
    /// Writes the first four bytes, which are enough to tell clients apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "ClientTag({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// The sender of a guess, as far as the request identifies it.
///
/// It is identified by a credential that was issued before (an app token or a login token; a
/// session counts as the credential that opened it), by the network from which it connects (an IPv4
/// address or an IPv6 /64), by both, or by neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    credential: Option<ClientTag>,
    network: Option<ClientTag>,
    introduced: Option<ClientTag>,
    /// The client whose place the introduced tag takes.
    replaced: Option<ClientTag>,
}

impl Client {
    /// Returns a client about which nothing is known. It is always an unknown client and cannot
    /// become known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { credential: None, network: None, introduced: None, replaced: None }
    }

    /// Returns a client that presents a credential. Only a credential that the server has verified
    /// may be named here.
    #[must_use]
    pub const fn credential(tag: ClientTag) -> Self {
        Self { credential: Some(tag), network: None, introduced: None, replaced: None }
    }

    /// Returns a client that presents no credential and is identified by its network.
    #[must_use]
    pub const fn network(tag: ClientTag) -> Self {
        Self { credential: None, network: Some(tag), introduced: None, replaced: None }
    }

    /// Returns this client on a network. The network counts for admissions. It also identifies the
    /// client if that presents no credential.
    #[must_use]
    pub const fn on_network(self, tag: ClientTag) -> Self {
        Self { network: Some(tag), ..self }
    }

    /// Returns this client with another tag that becomes known by the same right guess, for example
    /// the login token that the guess is about to obtain. The tag has no effect on the guess
    /// itself.
    ///
    /// The tag becomes a known client like any other. If the maximum number of clients is known
    /// already, it replaces `instead_of` if that is one of them, and otherwise the client whose
    /// last right guess is the oldest. So when one client logs in repeatedly, its new login tokens
    /// replace its old ones and do not displace other clients.
    #[must_use]
    pub const fn introducing(self, tag: ClientTag, instead_of: Option<ClientTag>) -> Self {
        Self { introduced: Some(tag), replaced: instead_of, ..self }
    }

    /// Returns this client identified by its network, as if it presented no credential. If the
    /// guess is right, the credential becomes known too.
    ///
    /// Use it for a client whose credential is no longer known although its network is: presenting
    /// a credential must not be worse than presenting none.
    #[must_use]
    pub const fn by_network(self) -> Self {
        let introduced = match self.introduced {
            Some(tag) => Some(tag),
            None => self.credential,
        };
        Self { credential: None, introduced, ..self }
    }

    /// Returns the tag by which the client is known, or becomes known with a right guess: its
    /// credential's tag, or else its network's. A client with an unknown credential is unknown even
    /// on a known network.
    #[must_use]
    pub const fn tag(&self) -> Option<ClientTag> {
        match self.credential {
            Some(tag) => Some(tag),
            None => self.network,
        }
    }

    /// Returns the mark by which the security log names the client: that of the credential which it
    /// presents. Returns `None` if it presents none.
    #[must_use]
    pub fn mark(&self) -> Option<ClientMark> {
        self.credential.map(ClientTag::mark)
    }

    /// Returns the mark of a client that was let in: that of its credential or, if it presents none,
    /// of the one that it is about to obtain.
    #[must_use]
    pub fn granted_mark(&self) -> Option<ClientMark> {
        self.mark().or_else(|| self.introduced.map(ClientTag::mark))
    }

    /// Returns the network's tag, if there is one.
    #[must_use]
    pub const fn network_tag(&self) -> Option<ClientTag> {
        self.network
    }

    /// Returns every tag that becomes known by a right guess of this client, each once.
    /// [`tag`](Self::tag) is the last.
    pub fn known_tags(&self) -> impl Iterator<Item = ClientTag> + use<> {
        let tag = self.tag();
        self.introduced.filter(|introduced| tag != Some(*introduced)).into_iter().chain(tag)
    }

    /// Returns the tag whose place the introduced one takes.
    pub(super) const fn replaced_tag(&self) -> Option<ClientTag> {
        self.replaced
    }

    /// Whether an admission of `tag` applies to this client.
    pub(super) fn is_named_by(&self, tag: ClientTag) -> bool {
        self.credential == Some(tag) || self.network == Some(tag)
    }
}

/// One guess before it is checked: the secret and its generation, and the client that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a guess is these three things; callers build it in one expression")]
pub struct Attempt {
    /// The kind of secret.
    pub secret: SecretKind,
    /// The generation of the secret, from the record that holds it.
    pub generation: Generation,
    /// The client that sent the guess.
    pub client: Client,
}

impl Attempt {
    /// Creates an attempt.
    #[must_use]
    pub const fn new(secret: SecretKind, generation: Generation, client: Client) -> Self {
        Self { secret, generation, client }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/security.md` § 3, computed apart: the first eight bytes of SHA-256 of the label and
    /// the tag behind its length.
    #[test]
    fn a_mark_is_fixed_to_the_byte() {
        let tag = ClientTag::from_bytes([7; 16]);
        let by_hand = Sha256::digest([&b"keywright/v1/client-mark\0\0\0\x10"[..], &[7; 16]].concat());
        assert_eq!(tag.mark().to_string(), hex::encode(&by_hand[..8]));
        assert_eq!(ClientMark::parse(&tag.mark().to_string()), Some(tag.mark()));
        for bad in ["", "00", "0011223344556677ff", "00112233445566FF", "zz11223344556677"] {
            assert_eq!(ClientMark::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_credential_has_a_mark() {
        let (token, network) = (ClientTag::from_bytes([1; 16]), ClientTag::from_bytes([2; 16]));
        assert_eq!(Client::unknown().granted_mark(), None);
        assert_eq!(Client::network(network).granted_mark(), None);
        assert_eq!(Client::credential(token).on_network(network).mark(), Some(token.mark()));
        let newcomer = Client::network(network).introducing(token, None);
        assert_eq!((newcomer.mark(), newcomer.granted_mark()), (None, Some(token.mark())));
    }
}

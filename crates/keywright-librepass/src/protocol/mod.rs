//! What clients and servers share: keys, the handshake, derivation parameters, and the form of what
//! is sent.

pub(crate) mod address;
pub(crate) mod change;
pub(crate) mod cipher;
pub(crate) mod error;
pub(crate) mod handshake;
pub(crate) mod hint;
pub(crate) mod keys;
pub(crate) mod parameters;
pub(crate) mod token;
pub(crate) mod user;

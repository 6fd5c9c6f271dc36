//! Attested factors: second factors of the host's own, such as passkeys, which it checks with a
//! library of its choice.

pub(crate) mod challenge;
pub(crate) mod factor;
pub(crate) mod method;
mod service;
pub(crate) mod state;
mod steps;

pub use challenge::{ASSERTION_SECONDS, AssertionChallenge, MAX_CHALLENGE_BYTES, MIN_CHALLENGE_BYTES};
pub use factor::{Assertion, AttestedEnrolment, AttestedInfo, MAX_ATTESTED_DATA, MAX_ATTESTED_FACTORS};
pub use method::{AttestedMethod, MAX_ATTESTED_METHODS, Strength};

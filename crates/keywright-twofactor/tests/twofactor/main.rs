//! Time-based codes and step-up over stores. Test names contain the requirement that they check.
#![forbid(unsafe_code)]
#![expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a panic in a test is a failed test")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod ahead;
mod attested;
mod change;
mod clock;
mod damage;
mod enrolment;
mod faults;
mod generations;
mod model;
mod origins;
#[cfg(feature = "qr")]
mod qr;
mod races;
mod remembered;
mod secrets;
mod step_up;
mod support;
mod typed;
mod uri;
mod vectors;
mod verify;
mod ways_in;

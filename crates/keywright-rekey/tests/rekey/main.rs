//! Known answers, random submissions against a naive model, and bad input.
#![cfg_attr(test, expect(clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test"))]

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod model;
#[cfg(test)]
mod support;
#[cfg(test)]
mod vectors;

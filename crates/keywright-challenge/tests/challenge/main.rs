//! Known answers of both halves, and the server half over real stores: outcomes, ways in, damage, faults, races, a model.
#![forbid(unsafe_code)]
#![expect(clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test")]

#[cfg(test)]
mod damage;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod loads;
#[cfg(test)]
mod model;
#[cfg(test)]
mod races;
#[cfg(test)]
mod server;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod ways_in;
#[cfg(test)]
mod world;

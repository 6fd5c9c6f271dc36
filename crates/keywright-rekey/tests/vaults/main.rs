//! Vaults over real stores: swaps, edits, held and uploaded vaults; races, lost replies, crashes.
#![expect(clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test")]

#[cfg(test)]
mod accept;
#[cfg(test)]
mod at_rest;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod forger;
#[cfg(test)]
mod held;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod loads;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod swaps;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod world;

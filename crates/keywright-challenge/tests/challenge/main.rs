//! Known answers of both halves, and the server half over real stores: outcomes, damage, faults, races, and a model.

#[cfg(test)]
#[cfg(feature = "std")]
mod damage;
#[cfg(test)]
#[cfg(feature = "std")]
mod faults;
#[cfg(test)]
#[cfg(feature = "std")]
mod model;
#[cfg(test)]
#[cfg(feature = "std")]
mod races;
#[cfg(test)]
#[cfg(feature = "std")]
mod server;
#[cfg(test)]
#[cfg(feature = "std")]
mod site;
#[cfg(test)]
mod vectors;

//! Keys, envelopes and the shared server key, by the vectors and over real stores.

#[cfg(test)]
mod handshake;
#[cfg(test)]
#[cfg(feature = "client")]
mod hostile;
#[cfg(test)]
#[cfg(feature = "client")]
mod vectors;

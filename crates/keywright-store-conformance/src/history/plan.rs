//! How many histories are checked, and their size.

/// The number and size of the histories that are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "parameters and nothing else")]
pub struct Plan {
    /// The number of histories.
    pub histories: u32,
    /// The number of clients that work at once in each history.
    pub clients: usize,
    /// The most operations that a client makes. Histories of all sizes up to this occur.
    pub operations: usize,
    /// The number of partitions that the clients share.
    pub partitions: usize,
    /// The seed of the clients' choices. How their operations interleave does not depend on it.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { histories: 60, clients: 4, operations: 14, partitions: 2, seed: 0x5eed }
    }
}

impl Plan {
    /// Returns the default plan, with the number of histories from the environment variable
    /// `KEYWRIGHT_HISTORIES` and the seed from `KEYWRIGHT_SEED`, if they are set. They serve to run
    /// a full proof, or to repeat a failure.
    #[must_use]
    pub fn from_env() -> Self {
        let default = Self::default();
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let histories = number("KEYWRIGHT_HISTORIES").and_then(|count| u32::try_from(count).ok());
        Self {
            histories: histories.unwrap_or(default.histories),
            seed: number("KEYWRIGHT_SEED").unwrap_or(default.seed),
            ..default
        }
    }
}

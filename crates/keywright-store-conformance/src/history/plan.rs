//! How much is tried.

/// How many histories are tried, and of what size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "parameters and nothing else")]
pub struct Plan {
    /// How many.
    pub histories: u32,
    /// How many clients work at once in each.
    pub clients: usize,
    /// How many operations each client makes at most: histories come in all sizes up to this.
    pub operations: usize,
    /// How many partitions they share.
    pub partitions: usize,
    /// What the clients' choices follow from. How their operations interleave does not.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { histories: 60, clients: 4, operations: 14, partitions: 2, seed: 0x5eed }
    }
}

impl Plan {
    /// The default plan, with as many histories as the environment variable `KEYWRIGHT_HISTORIES`
    /// says, and the seed that `KEYWRIGHT_SEED` says: for a full proof, or to try a failure again.
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

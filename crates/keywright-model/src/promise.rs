//! The promises that the search checks.

/// A promise that must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A code is granted at most once.
    GrantedOnce,
    /// No step is applied twice.
    LandedOnce,
    /// A change that was acknowledged has been applied, and stays.
    AcknowledgedStays,
    /// A change that was answered as refused is never applied, neither before nor later. "Refused"
    /// covers every answer except success and "unknown".
    RefusedNeverLands,
    /// An attempt that was settled as never applied was not applied and cannot be, because the
    /// fence holds.
    SettledStaysSettled,
    /// An honest history has no integrity error.
    Integrity,
    /// The state that a commit depends on is current when it is applied, even if it writes nothing.
    RestsOnWhatStands,
    /// The log contains each applied change once, and nothing else.
    ToldOnce,
    /// "Unknown" is the answer only if more commits have passed than `recent` can hold.
    UnknownOnlyBeyond,
}

impl Promise {
    /// Every promise.
    pub const ALL: [Self; 9] = [
        Self::GrantedOnce,
        Self::LandedOnce,
        Self::AcknowledgedStays,
        Self::RefusedNeverLands,
        Self::SettledStaysSettled,
        Self::Integrity,
        Self::RestsOnWhatStands,
        Self::ToldOnce,
        Self::UnknownOnlyBeyond,
    ];

    /// Returns the name of the promise's property.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GrantedOnce => "a code is granted at most once",
            Self::LandedOnce => "no step lands twice",
            Self::AcknowledgedStays => "an acknowledged change has landed and stays",
            Self::RefusedNeverLands => "what was refused never lands",
            Self::SettledStaysSettled => "a fenced or settled attempt never lands",
            Self::Integrity => "an honest history has no integrity error",
            Self::RestsOnWhatStands => "a commit rests on what stands when it lands",
            Self::ToldOnce => "the log tells each landed change once",
            Self::UnknownOnlyBeyond => "unknown only beyond what the root remembers",
        }
    }

    pub(crate) const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

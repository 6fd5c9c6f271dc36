//! What is promised.

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A code is granted at most once.
    GrantedOnce,
    /// No step lands twice.
    LandedOnce,
    /// What was acknowledged has landed, and stays.
    AcknowledgedStays,
    /// What was told as refused never lands, neither before nor later; that covers every answer
    /// but success and "unknown".
    RefusedNeverLands,
    /// An attempt that was settled as never landed has not landed and cannot: the fence stands.
    SettledStaysSettled,
    /// An honest history has no integrity error.
    Integrity,
    /// What a commit rests on stands at the moment it lands, also if it writes nothing.
    RestsOnWhatStands,
    /// The log tells each landed change once, and nothing else.
    ToldOnce,
    /// "Unknown" is the answer only when `recent` has really been passed.
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

    /// The name of its property.
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

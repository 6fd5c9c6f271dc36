//! The cost of a user's key derivation: chosen by the client, kept by the server, returned before
//! each log-in.

use serde::{Deserialize, Serialize};

/// Lanes, memory and passes of Argon2id, each within the range that the protocol declares: lanes 1
/// to 10, memory 20480 to 153600 KiB, passes 1 to 10 (protocol § 2; `docs/decisions.md` 35a). The
/// server never computes with them.
///
/// They are never rounded: 65535 and 65536 KiB take the same memory and yield different keys
/// (protocol § 2).
///
/// ```
/// use keywright_librepass::{ArgonParameters, ParameterError};
///
/// let parameters = ArgonParameters::new(3, 65536, 4)?;
/// assert_eq!(parameters, ArgonParameters::default());
/// assert_eq!(ArgonParameters::new(3, 1024, 4), Err(ParameterError::Memory));
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Numbers", into = "Numbers")]
pub struct ArgonParameters {
    numbers: Numbers,
}

/// The three members as they are named in JSON bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Numbers {
    parallelism: u32,
    memory: u32,
    iterations: u32,
}

impl ArgonParameters {
    /// Creates parameters from lanes, memory in KiB, and passes.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is out of its range.
    pub const fn new(parallelism: u32, memory: u32, iterations: u32) -> Result<Self, ParameterError> {
        if !matches!(parallelism, 1..=10) {
            return Err(ParameterError::Parallelism);
        }
        if !matches!(memory, 20_480..=153_600) {
            return Err(ParameterError::Memory);
        }
        if !matches!(iterations, 1..=10) {
            return Err(ParameterError::Iterations);
        }
        Ok(Self { numbers: Numbers { parallelism, memory, iterations } })
    }

    /// Returns the lanes, 1 to 10.
    #[must_use]
    pub const fn parallelism(self) -> u32 {
        self.numbers.parallelism
    }

    /// Returns the memory in KiB, 20480 to 153600.
    #[must_use]
    pub const fn memory(self) -> u32 {
        self.numbers.memory
    }

    /// Returns the passes, 1 to 10.
    #[must_use]
    pub const fn iterations(self) -> u32 {
        self.numbers.iterations
    }
}

/// 3 lanes, 65536 KiB and 4 passes: the stock client's choice, and the answer for an unknown
/// address (protocol § 2).
impl Default for ArgonParameters {
    fn default() -> Self {
        Self { numbers: Numbers { parallelism: 3, memory: 65_536, iterations: 4 } }
    }
}

impl TryFrom<Numbers> for ArgonParameters {
    type Error = ParameterError;
    fn try_from(numbers: Numbers) -> Result<Self, Self::Error> {
        Self::new(numbers.parallelism, numbers.memory, numbers.iterations)
    }
}

impl From<ArgonParameters> for Numbers {
    fn from(parameters: ArgonParameters) -> Self {
        parameters.numbers
    }
}

/// A parameter is out of its range. The endpoint answers 400 `LP-Invalid-Body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The number of lanes is out of range.
    #[error("parallelism is not 1 to 10")]
    Parallelism,
    /// The memory is out of range.
    #[error("memory is not 20480 to 153600 KiB")]
    Memory,
    /// The number of passes is out of range.
    #[error("iterations are not 1 to 10")]
    Iterations,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_each_range() {
        for (numbers, verdict) in [
            ((1, 20_480, 1), None),
            ((10, 153_600, 10), None),
            ((3, 65_535, 4), None),
            ((0, 20_480, 1), Some(ParameterError::Parallelism)),
            ((11, 20_480, 1), Some(ParameterError::Parallelism)),
            ((1, 20_479, 1), Some(ParameterError::Memory)),
            ((1, 153_601, 1), Some(ParameterError::Memory)),
            ((1, 20_480, 0), Some(ParameterError::Iterations)),
            ((1, 20_480, 11), Some(ParameterError::Iterations)),
            ((0, 0, 0), Some(ParameterError::Parallelism)),
        ] {
            let (parallelism, memory, iterations) = numbers;
            assert_eq!(ArgonParameters::new(parallelism, memory, iterations).err(), verdict, "{numbers:?}");
        }
    }

    #[test]
    fn json_is_the_three_members_and_checked() {
        let text = r#"{"parallelism":3,"memory":65536,"iterations":4}"#;
        assert_eq!(serde_json::to_string(&ArgonParameters::default()).unwrap(), text);
        assert_eq!(serde_json::from_str::<ArgonParameters>(text).unwrap(), ArgonParameters::default());
        for bad in [
            r#"{"parallelism":3,"memory":65536}"#,
            r#"{"parallelism":0,"memory":65536,"iterations":4}"#,
            r#"{"parallelism":"3","memory":65536,"iterations":4}"#,
            r#"{"parallelism":3,"memory":65536.5,"iterations":4}"#,
            r#"{"parallelism":3,"memory":4294967296,"iterations":4}"#,
            r#"{"parallelism":-1,"memory":65536,"iterations":4}"#,
            r#"{"parallelism":null,"memory":65536,"iterations":4}"#,
        ] {
            assert!(serde_json::from_str::<ArgonParameters>(bad).is_err(), "{bad}");
        }
    }
}

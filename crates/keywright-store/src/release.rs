//! Values of a step that become available only once its commit has happened.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::revision::Revision;
use crate::step_error::StepError;

/// A value that becomes available only once the commit has happened for which it was created. Only
/// the driver can release it.
#[must_use = "a tentative value comes out of the driver after its commit"]
pub struct Tentative<T> {
    value: T,
    attempt: Revision,
}

impl<T> Tentative<T> {
    pub(crate) const fn new(value: T, attempt: Revision) -> Self {
        Self { value, attempt }
    }

    /// Turns the value into another that is also tentative.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Tentative<U> {
        Tentative { value: f(self.value), attempt: self.attempt }
    }

    /// Combines two values of one attempt.
    ///
    /// # Errors
    /// Returns [`StepError::Misuse`] if they belong to different attempts.
    pub fn zip<U>(self, other: Tentative<U>) -> Result<Tentative<(T, U)>, StepError> {
        if self.attempt != other.attempt {
            return Err(StepError::Misuse("the two tentative values belong to different attempts"));
        }
        Ok(Tentative { value: (self.value, other.value), attempt: self.attempt })
    }

    /// Returns the value, if it belongs to this attempt.
    pub(crate) fn of_attempt(&self, attempt: Revision) -> Option<&T> {
        (self.attempt == attempt).then_some(&self.value)
    }
}

keywright_core::redacted_debug!(impl[T] Tentative<T>);

/// Proof that one attempt was committed. The driver creates it, and only implementations of
/// [`Release`] see it.
#[derive(Debug)]
pub struct Receipt {
    attempt: Revision,
    /// Whether a tentative value was released with it.
    has_released: AtomicBool,
}

impl Receipt {
    pub(crate) const fn new(attempt: Revision) -> Self {
        Self { attempt, has_released: AtomicBool::new(false) }
    }

    /// Whether the outcome that was released with this receipt had a tentative value in it.
    pub(crate) fn has_released(&self) -> bool {
        self.has_released.load(Ordering::Relaxed)
    }
}

/// A tentative value does not belong to the commit that was made: a step kept it from an earlier
/// run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tentative value belongs to another commit")]
pub struct WrongReceipt;

/// An outcome that the driver releases after the commit. Releasing replaces each [`Tentative`]
/// inside by its value.
///
/// For an outcome enum, implement it by releasing the tentative fields and passing the rest on. For
/// outcomes without any, use [`released_as_is!`](crate::released_as_is).
///
/// ```
/// use keywright_store::{Receipt, Release, Tentative, WrongReceipt};
///
/// enum Redemption<T> { Granted(T), Spent }
///
/// impl<T: Release> Release for Redemption<T> {
///     type Released = Redemption<T::Released>;
///     fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
///         Ok(match self {
///             Self::Granted(coins) => Redemption::Granted(coins.release(receipt)?),
///             Self::Spent => Redemption::Spent,
///         })
///     }
/// }
/// ```
pub trait Release {
    /// The outcome after its release.
    type Released;

    /// Releases what is tentative.
    ///
    /// # Errors
    /// Returns [`WrongReceipt`] if something tentative belongs to another attempt.
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt>;
}

impl<T> Release for Tentative<T> {
    type Released = T;
    fn release(self, receipt: &Receipt) -> Result<T, WrongReceipt> {
        if receipt.attempt != self.attempt {
            return Err(WrongReceipt);
        }
        receipt.has_released.store(true, Ordering::Relaxed);
        Ok(self.value)
    }
}

impl<T: Release> Release for Option<T> {
    type Released = Option<T::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        self.map(|value| value.release(receipt)).transpose()
    }
}

impl<T: Release, E> Release for Result<T, E> {
    type Released = Result<T::Released, E>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        self.map(|value| value.release(receipt)).map_or_else(|error| Ok(Err(error)), |value| value.map(Ok))
    }
}

impl<A: Release, B: Release> Release for (A, B) {
    type Released = (A::Released, B::Released);
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok((self.0.release(receipt)?, self.1.release(receipt)?))
    }
}

impl<A: Release, B: Release, C: Release> Release for (A, B, C) {
    type Released = (A::Released, B::Released, C::Released);
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok((self.0.release(receipt)?, self.1.release(receipt)?, self.2.release(receipt)?))
    }
}

/// A value with nothing tentative inside, which passes through [`Release`] unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a transparent wrapper")]
pub struct Plain<T>(pub T);

impl<T> Release for Plain<T> {
    type Released = T;
    fn release(self, _: &Receipt) -> Result<T, WrongReceipt> {
        Ok(self.0)
    }
}

/// Implements [`Release`](crate::Release) for types that hold nothing tentative.
///
/// ```
/// #[derive(Debug, PartialEq)]
/// enum Removal { Removed, Unknown }
/// keywright_store::released_as_is!(Removal);
/// ```
#[macro_export]
macro_rules! released_as_is {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::Release for $name {
            type Released = Self;
            fn release(self, _: &$crate::Receipt) -> ::std::result::Result<Self, $crate::WrongReceipt> {
                Ok(self)
            }
        }
    )+};
}

released_as_is!((), bool, u8, u16, u32, u64, usize, String, &'static str, keywright_core::AccountId);
released_as_is!(keywright_core::UnixSeconds, Revision, crate::root::Root, crate::root::Epochs);

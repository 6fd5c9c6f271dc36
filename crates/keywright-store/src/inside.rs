//! The host's code that runs inside an operation: a step, or an observer. It must not use the driver.
//! Of a step's partition it would wait for a lock that the operation holds, for ever, so that it is
//! refused instead.

use std::cell::Cell;

use crate::step_error::StepError;

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread until it is dropped, also by a panic.
struct Inside {
    before: bool,
}

impl Drop for Inside {
    fn drop(&mut self) {
        IS_INSIDE.set(self.before);
    }
}

/// Runs code of the host that must not use the driver. It is synchronous, so whatever the thread
/// does meanwhile, it does for this code.
pub(crate) fn run<T>(code: impl FnOnce() -> T) -> T {
    let _inside = Inside { before: IS_INSIDE.replace(true) };
    code()
}

/// Refuses the use of the driver by such code.
pub(crate) fn refuse() -> Result<(), StepError> {
    if IS_INSIDE.get() { Err(StepError::Misuse("a step or an observer used the driver")) } else { Ok(()) }
}

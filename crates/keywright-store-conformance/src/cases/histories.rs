//! Random concurrent histories.

use crate::backend::Handles;
use crate::history;
use crate::history::plan::Plan;
use crate::violation::Violation;

/// Random concurrent histories over both handles, with some replies lost, have a serial order that
/// agrees with every reply and its time.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn histories_are_strictly_serialisable(store: Handles, plan: Plan) -> Result<(), Violation> {
    history::run(&store, plan).await.map(drop)
}

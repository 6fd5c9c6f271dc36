//! Random concurrent histories.

use crate::backend::Handles;
use crate::history;
use crate::history::plan::Plan;
use crate::violation::Violation;

/// Random concurrent histories over both handles, some of whose replies are lost, have a serial order that agrees with
/// what everybody was told and when.
///
/// # Errors
/// What was broken.
pub async fn histories_are_strictly_serialisable(store: Handles, plan: Plan) -> Result<(), Violation> {
    history::run(&store, plan).await.map(drop)
}

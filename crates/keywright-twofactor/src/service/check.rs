//! What the service is given to check a typed code.

use keywright_core::{AccountId, Client, Purpose};
use keywright_store::SlotName;

/// A typed code and what it is checked for.
#[derive(Clone, Copy)]
pub(crate) struct CodeCheck<'c> {
    /// The name of the operation, for spans and metrics.
    pub(crate) operation: &'static str,
    pub(crate) account: &'c AccountId,
    /// The slots that the check reads and writes.
    pub(crate) slots: &'c [SlotName],
    pub(crate) code: &'c str,
    pub(crate) purpose: &'c Purpose,
    pub(crate) client: Client,
}

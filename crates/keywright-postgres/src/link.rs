//! A connection for one statement: one of the pool's, or the host's.

use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::call::{Call, Protocol};
use crate::fault::Fault;

/// A connection, and how statements are sent over it.
pub(crate) struct Link<'c> {
    pub(crate) connection: &'c mut PgConnection,
    pub(crate) protocol: Protocol,
}

impl Link<'_> {
    /// Runs a statement and returns its rows.
    pub(crate) async fn run(&mut self, call: Call<'_>) -> Result<Vec<PgRow>, Fault> {
        Ok(call.run(self.connection, self.protocol).await?)
    }
}

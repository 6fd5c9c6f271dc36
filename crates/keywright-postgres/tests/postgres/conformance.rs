//! The conformance suite, on a server and behind PgBouncer.

use std::sync::Arc;

use keywright_postgres::sqlx::{Connection, PgConnection};
use keywright_postgres::{PostgresStore, PostgresTransaction};
use keywright_store::{BoxError, HostTransaction};
use keywright_store_conformance::{Handles, HostEnd, Part, run_host_transaction};
use keywright_testing::postgres::conformance::{self, Backend};
use tokio::runtime::Handle;

struct Postgres;

impl Backend for Postgres {
    type Store = PostgresStore;

    // The store makes its tables itself.
    const SCHEMA: &'static str = "";
    const COMMIT: &'static str = "keywright.apply(";
    const ROOTS: &'static str = "keywright.roots";
    const KEY: &'static str = "convert_from(partition, 'UTF8')";
    const CHILD: &'static str = "conformance::crash_child";

    async fn open(url: &str, pooled: bool) -> Arc<PostgresStore> {
        let builder = PostgresStore::builder(url).unwrap().connections(12);
        let builder = if pooled { builder.behind_pooler() } else { builder };
        Arc::new(builder.open().await.unwrap())
    }

    fn handles(first: Arc<PostgresStore>, second: Arc<PostgresStore>) -> Handles {
        Handles::new(first, second)
    }

    fn within(
        store: &PostgresStore,
        url: &str,
        end: HostEnd,
        work: &mut dyn FnMut(&mut dyn HostTransaction),
    ) -> Result<(), BoxError> {
        let mut host = Handle::current().block_on(PgConnection::connect(url))?;
        let transaction = Handle::current().block_on(PostgresTransaction::begin(store, &mut host))?;
        run_host_transaction(transaction, end, work)
    }
}

#[test]
fn crash_child() {
    conformance::crash_child::<Postgres>();
}

macro_rules! parts {
    ($($name:ident: $part:ident),+) => {$(
        mod $name {
            use keywright_testing::postgres::conformance::passes;

            use super::{Part, Postgres};

            #[test]
            fn on_a_server() {
                passes::<Postgres>(Part::$part, false);
            }

            #[test]
            fn behind_a_pooler() {
                passes::<Postgres>(Part::$part, true);
            }
        }
    )+};
}

parts! {
    records: Records, upkeep: Upkeep, histories: Histories, vault: Vault, lost_replies: LostReplies,
    failed_commits: FailedCommits, late_commits: LateCommits, lost_roots: LostRoots,
    host_transactions: HostTransactions, durability: Durability
}

//! The conformance suite, in every part that a store without a vault has: two pools on one database, replies that are
//! lost, real kills of the process and of the server.

use std::sync::Arc;

use keywright::store::{BoxError, HostTransaction};
use keywright_store_conformance::{Handles, HostEnd, Part, run_host_transaction};
use keywright_testing::postgres::conformance::{self, Backend, passes};
use own_tables::{SCHEMA, ShopStore, ShopTransaction};
use tokio::runtime::Handle;
use tokio_postgres::NoTls;

struct Shop;

impl Backend for Shop {
    type Store = ShopStore;

    const SCHEMA: &'static str = SCHEMA;
    const COMMIT: &'static str = "COMMIT\0";
    const ROOTS: &'static str = "shop.account_security_roots";
    const KEY: &'static str = "owner";
    const CHILD: &'static str = "conformance::crash_child";

    async fn open(url: &str, _: bool) -> Arc<ShopStore> {
        Arc::new(ShopStore::open(url.parse().unwrap(), 12).await.unwrap())
    }

    fn handles(first: Arc<ShopStore>, second: Arc<ShopStore>) -> Handles {
        Handles::without_vault(first, second)
    }

    fn within(
        _: &ShopStore,
        url: &str,
        end: HostEnd,
        work: &mut dyn FnMut(&mut dyn HostTransaction),
    ) -> Result<(), BoxError> {
        let manager = deadpool_postgres::Manager::new(url.parse()?, NoTls);
        let pool = deadpool_postgres::Pool::builder(manager).max_size(1).build()?;
        let mut host = Handle::current().block_on(pool.get())?;
        let transaction = Handle::current().block_on(ShopTransaction::begin(&mut host))?;
        run_host_transaction(transaction, end, work)
    }
}

#[test]
fn crash_child() {
    conformance::crash_child::<Shop>();
}

macro_rules! parts {
    ($($name:ident: $part:ident),+) => {
        const RUN: &[Part] = &[$(Part::$part),+];
        $(#[test]
        fn $name() {
            passes::<Shop>(Part::$part, false);
        })+
    };
}

parts! {
    records: Records, upkeep: Upkeep, histories: Histories, lost_replies: LostReplies, failed_commits: FailedCommits,
    late_commits: LateCommits, lost_roots: LostRoots, host_transactions: HostTransactions, durability: Durability
}

#[test]
fn every_part_but_the_vault_is_run() {
    let left: Vec<Part> = Part::ALL.into_iter().filter(|part| !RUN.contains(part)).collect();
    assert_eq!(left, [Part::Vault]);
}

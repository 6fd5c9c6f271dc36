//! Housekeeping, each call in transactions of its own.
//!
//! A sweep meets commits. It never waits for a row (`SKIP LOCKED`), so it cannot deadlock with them, and what it passes
//! over is swept the next time. A row that it has locked is judged as it is then, not as it was when it was listed.

use keywright::core::UnixSeconds;
use keywright::store::{BoxFuture, CommitError, LoadError, Partition, SlotName, StoredSlots, Upkeep};

use crate::fault::Fault;
use crate::rows::{Values, revision, run, seconds, signed};
use crate::store::ShopStore;

const SWEEP_RECORDS: &str = "
    DELETE FROM shop.account_security_records AS r USING (
        SELECT owner, slot FROM shop.account_security_records
        WHERE purge_after < (SELECT at FROM shop.account_security_horizon) LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS old WHERE r.owner = old.owner AND r.slot = old.slot";

/// Locks roots that have expired. Their partitions are then dropped with everything in them.
const EXPIRED: &str = "
    SELECT owner FROM shop.account_security_roots
    WHERE purge_after < (SELECT at FROM shop.account_security_horizon) LIMIT $1 FOR UPDATE SKIP LOCKED";

/// The chains whose oldest event is too old and not their newest, with their roots locked; and of each, the events from
/// the oldest to the last that is too old, without the newest.
const FORGET: &str = "
    WITH held AS MATERIALIZED (
        SELECT r.owner FROM shop.account_security_roots AS r WHERE r.owner IN (
            SELECT e.owner FROM shop.account_security_events AS e WHERE e.at < $1
                AND NOT EXISTS (SELECT FROM shop.account_security_events AS o
                    WHERE o.owner = e.owner AND o.chain = e.chain AND o.number < e.number)
                AND EXISTS (SELECT FROM shop.account_security_events AS n
                    WHERE n.owner = e.owner AND n.chain = e.chain AND n.number > e.number)
            LIMIT $2
        ) FOR UPDATE SKIP LOCKED
    )
    DELETE FROM shop.account_security_events AS e USING (
        SELECT owner, chain, number FROM (
            SELECT owner, chain, number,
                bool_and(at < $1) OVER (PARTITION BY owner, chain ORDER BY number) AS is_old,
                max(number) OVER (PARTITION BY owner, chain) AS newest
            FROM shop.account_security_events WHERE owner IN (SELECT owner FROM held)
        ) AS all_of_them
        WHERE is_old AND number < newest ORDER BY owner, chain, number LIMIT $2
    ) AS old WHERE e.owner = old.owner AND e.chain = old.chain AND e.number = old.number";

impl ShopStore {
    async fn read_horizon(&self) -> Result<Option<UnixSeconds>, Fault> {
        let client = self.pool.get().await?;
        let row = client.query_opt("SELECT at FROM shop.account_security_horizon", &[]).await?;
        row.map(|row| seconds(row.try_get(0)?, "account_security_horizon")).transpose()
    }

    async fn advance(&self, now: UnixSeconds) -> Result<UnixSeconds, Fault> {
        let sql = "INSERT INTO shop.account_security_horizon (at)
            SELECT least($1::bigint, coalesce(max(e.at), $1) + 86400) FROM shop.account_security_events AS e
            ON CONFLICT (one) DO UPDATE SET at = least($1, account_security_horizon.at + 86400) RETURNING at";
        let client = self.pool.get().await?;
        let row = client.query_one(sql, &[&signed(now.get())]).await?;
        seconds(row.try_get(0)?, "account_security_horizon")
    }

    async fn sweep_once(&self, limit: u32) -> Result<u64, Fault> {
        let mut client = self.pool.get().await?;
        let records = run(&client, SWEEP_RECORDS, &[&i64::from(limit)]).await?;
        let left = signed(u64::from(limit).saturating_sub(records));
        let transaction = client.transaction().await?;
        let rows = transaction.query(EXPIRED, &[&left]).await?;
        let owners = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        for table in ["records", "events", "roots"] {
            let sql = format!("DELETE FROM shop.account_security_{table} WHERE owner = ANY ($1)");
            run(&transaction, &sql, &[&owners]).await?;
        }
        transaction.commit().await?;
        Ok(records.saturating_add(u64::try_from(owners.len()).unwrap_or(u64::MAX)))
    }

    /// Lists partitions. One of an unknown form, which only somebody with a database shell can have made, is passed over.
    async fn list(&self, sql: &str, values: Values<'_>) -> Result<Vec<Partition>, Fault> {
        let rows = self.pool.get().await?.query(sql, values).await?;
        let keys = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>()?;
        Ok(keys.into_iter().filter_map(|key| Partition::parse(key).ok()).collect())
    }

    async fn list_slots(
        &self,
        partition: &Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> Result<StoredSlots, Fault> {
        let sql = "SELECT (SELECT revision FROM shop.account_security_roots WHERE owner = $1), r.slot
            FROM (VALUES (1)) AS one LEFT JOIN (SELECT slot FROM shop.account_security_records
                WHERE owner = $1 AND slot > $2 ORDER BY slot LIMIT $3) AS r ON true ORDER BY r.slot";
        // No slot's name is empty.
        let after = after.map(|after| after.to_text()).unwrap_or_default();
        let mut found = StoredSlots { root: None, slots: Vec::new() };
        for row in self.pool.get().await?.query(sql, &[&partition.key(), &after, &i64::from(limit)]).await? {
            found.root = revision(&row)?;
            let Some(slot) = row.try_get::<_, Option<&str>>(1)? else { continue };
            found.slots.push(SlotName::parse(slot).map_err(|_| Fault::Form("account_security_records"))?);
        }
        Ok(found)
    }
}

impl Upkeep for ShopStore {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        Box::pin(async move { self.read_horizon().await.map_err(Fault::into_load_error) })
    }

    // What follows is repeated by the next round of housekeeping anyway, and each row of it is judged anew. So a lost reply
    // needs no distinction from a refusal here.
    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        Box::pin(async move { self.advance(now).await.map_err(|fault| CommitError::Unknown(fault.into())) })
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move { self.sweep_once(limit).await.map_err(|fault| CommitError::Unknown(fault.into())) })
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            let forget = async {
                let Some(horizon) = self.read_horizon().await? else { return Ok(0) };
                let values: Values<'_> = &[&signed(horizon.minus(age).get()), &i64::from(limit)];
                run(&self.pool.get().await?, FORGET, values).await
            };
            forget.await.map_err(|fault: Fault| CommitError::Unknown(fault.into()))
        })
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            let sql =
                "SELECT owner FROM shop.account_security_roots WHERE due_at <= $1 ORDER BY due_at, owner LIMIT $2";
            let values: Values<'_> = &[&signed(before.get()), &i64::from(limit)];
            self.list(sql, values).await.map_err(Fault::into_load_error)
        })
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            // UNION drops what is listed twice.
            let sql = "SELECT owner FROM (
                    SELECT owner FROM shop.account_security_roots WHERE owner > $1
                    UNION SELECT owner FROM shop.account_security_records WHERE owner > $1
                    UNION SELECT owner FROM shop.account_security_events WHERE owner > $1
                ) AS all_of_them ORDER BY owner LIMIT $2";
            let after = after.map(|after| after.key().to_owned()).unwrap_or_default();
            self.list(sql, &[&after, &i64::from(limit)]).await.map_err(Fault::into_load_error)
        })
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        Box::pin(async move { self.list_slots(partition, after, limit).await.map_err(Fault::into_load_error) })
    }
}

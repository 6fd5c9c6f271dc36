//! Every statement of this crate. Functions, types and operators are named with their schema, so
//! that none of another schema takes their place, whatever the `search_path` is.
//!
//! All carry their partition, except those of [`ACROSS`] and the question about a host's connection.

/// Calls that write.
pub(crate) const APPLY: &str = "SELECT keywright.apply($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
    $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)";
pub(crate) const HOLD: &str = "SELECT keywright.hold($1, $2)";
pub(crate) const STAGE: &str = "SELECT keywright.stage($1, $2, $3, $4, $5, $6, $7)";
pub(crate) const UNSTAGE: &str = "SELECT keywright.unstage($1, $2)";
pub(crate) const SWEEP: &str = "SELECT keywright.sweep($1, $2, $3)";
pub(crate) const FORGET: &str = "SELECT keywright.forget($1, $2, $3, $4)";

/// The part of a read that every row repeats: whether the server is a standby, and the root's
/// revision.
macro_rules! head {
    ($more:literal) => {
        concat!(
            "SELECT head.standby, head.root, x.* FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby, \
             (SELECT r.revision FROM keywright.roots AS r WHERE r.partition OPERATOR(pg_catalog.=) $1) AS root) AS head ",
            $more
        )
    };
}

/// The part of a read without a root: whether the server is a standby. It is answered even if there
/// is nothing else to answer, so that the empty answer of a standby is noticed too.
macro_rules! primary {
    ($($more:expr),+) => {
        concat!(
            "SELECT head.standby, x.* FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) AS head LEFT JOIN (",
            $($more),+
        )
    };
}

/// Root, records in the order of the slots, the newest event of each chain, and whether there is
/// any row besides the root: one row.
pub(crate) const LOAD: &str = "SELECT pg_catalog.pg_is_in_recovery() AS standby,
    (SELECT r.revision FROM keywright.roots AS r WHERE r.partition OPERATOR(pg_catalog.=) $1) AS root,
    (SELECT r.body FROM keywright.roots AS r WHERE r.partition OPERATOR(pg_catalog.=) $1) AS body,
    ARRAY(SELECT (SELECT r.body FROM keywright.records AS r
            WHERE r.partition OPERATOR(pg_catalog.=) $1 AND r.slot OPERATOR(pg_catalog.=) s.slot)
        FROM pg_catalog.unnest($2) WITH ORDINALITY AS s(slot, place) ORDER BY s.place) AS records,
    (SELECT e.number FROM keywright.events AS e WHERE e.partition OPERATOR(pg_catalog.=) $1
        AND e.chain OPERATOR(pg_catalog.=) 0::pg_catalog.int8 ORDER BY e.number DESC LIMIT 1) AS changes,
    (SELECT e.number FROM keywright.events AS e WHERE e.partition OPERATOR(pg_catalog.=) $1
        AND e.chain OPERATOR(pg_catalog.=) 1::pg_catalog.int8 ORDER BY e.number DESC LIMIT 1) AS denials,
    EXISTS (SELECT 1 FROM keywright.events AS e WHERE e.partition OPERATOR(pg_catalog.=) $1)
        OR EXISTS (SELECT 1 FROM keywright.records AS r WHERE r.partition OPERATOR(pg_catalog.=) $1)
        OR EXISTS (SELECT 1 FROM keywright.ciphers AS c WHERE c.partition OPERATOR(pg_catalog.=) $1)
        OR EXISTS (SELECT 1 FROM keywright.stages AS s WHERE s.partition OPERATOR(pg_catalog.=) $1)
        OR EXISTS (SELECT 1 FROM keywright.staged AS s WHERE s.partition OPERATOR(pg_catalog.=) $1) AS has_rows";

pub(crate) const CHECK: &str = "SELECT pg_catalog.pg_is_in_recovery() AS standby,
    (SELECT r.revision FROM keywright.roots AS r WHERE r.partition OPERATOR(pg_catalog.=) $1) AS root";

pub(crate) const EVENTS: &str = head!(
    "LEFT JOIN (SELECT e.number, e.at, e.json, e.prev FROM keywright.events AS e
        WHERE e.partition OPERATOR(pg_catalog.=) $1 AND e.chain OPERATOR(pg_catalog.=) $2
        AND e.number OPERATOR(pg_catalog.<) $3 ORDER BY e.number DESC LIMIT $4) AS x ON true ORDER BY x.number DESC"
);

pub(crate) const SLOTS: &str = head!(
    "LEFT JOIN (SELECT r.slot FROM keywright.records AS r
        WHERE r.partition OPERATOR(pg_catalog.=) $1 AND r.slot OPERATOR(pg_catalog.>) $2
        ORDER BY r.slot LIMIT $3) AS x ON true ORDER BY x.slot"
);

pub(crate) const MARKS: &str = head!(
    "LEFT JOIN (SELECT c.id, c.text_mark, c.note_mark, c.nonce FROM keywright.ciphers AS c
        WHERE c.partition OPERATOR(pg_catalog.=) $1) AS x ON true ORDER BY x.id"
);

/// The whole vault.
pub(crate) const ROWS: &str = head!(
    "LEFT JOIN (SELECT c.id, c.text_mark, c.note_mark, c.nonce, c.note, c.text FROM keywright.ciphers AS c
        WHERE c.partition OPERATOR(pg_catalog.=) $1) AS x ON true ORDER BY x.id"
);

/// The ciphers of a list; and the marks of the others, if those are wanted (`$3`).
pub(crate) const SOME_ROWS: &str = head!(
    "LEFT JOIN (SELECT c.id, c.text_mark, c.note_mark, c.nonce,
            CASE WHEN c.id OPERATOR(pg_catalog.=) ANY ($2) THEN c.note END AS note,
            CASE WHEN c.id OPERATOR(pg_catalog.=) ANY ($2) THEN c.text END AS text
        FROM keywright.ciphers AS c WHERE c.partition OPERATOR(pg_catalog.=) $1
        AND ($3 OR c.id OPERATOR(pg_catalog.=) ANY ($2))) AS x ON true ORDER BY x.id"
);

pub(crate) const STAGED: &str = primary!(
    "SELECT s.id, s.text_mark, s.nonce FROM keywright.staged AS s
        WHERE s.partition OPERATOR(pg_catalog.=) $1 AND s.stage OPERATOR(pg_catalog.=) $2) AS x ON true ORDER BY x.id"
);

pub(crate) const STAGED_TEXTS: &str = primary!(
    "SELECT s.id, s.text_mark, s.nonce, s.text FROM keywright.staged AS s
        WHERE s.partition OPERATOR(pg_catalog.=) $1 AND s.stage OPERATOR(pg_catalog.=) $2
        AND s.id OPERATOR(pg_catalog.>) $3 ORDER BY s.id LIMIT $4) AS x ON true ORDER BY x.id"
);

/// Whether the connection is in a transaction that an earlier statement has begun. As a simple query
/// it is a transaction of its own otherwise, which begins when it does.
pub(crate) const IN_TRANSACTION: &str = "SELECT pg_catalog.transaction_timestamp() \
    OPERATOR(pg_catalog.<>) pg_catalog.statement_timestamp()";

/// What housekeeping reads of all partitions, to learn which ones to visit. It never changes
/// anything, and nothing that a request waits for depends on it.
pub(crate) const HORIZON: &str =
    "SELECT pg_catalog.pg_is_in_recovery() AS standby, (SELECT m.value FROM keywright.meta AS m
    WHERE m.name OPERATOR(pg_catalog.=) 'horizon'::pg_catalog.text) AS value";
pub(crate) const MOVE_HORIZON: &str = "SELECT keywright.move_horizon($1)";
pub(crate) const EXPIRED_RECORDS: &str =
    "SELECT DISTINCT x.partition FROM (SELECT r.partition FROM keywright.records AS r
    WHERE r.purge_after OPERATOR(pg_catalog.<) $1 ORDER BY r.purge_after LIMIT $2) AS x";
pub(crate) const EXPIRED_STAGES: &str =
    "SELECT DISTINCT x.partition FROM (SELECT s.partition FROM keywright.stages AS s
    WHERE s.purge_after OPERATOR(pg_catalog.<) $1 ORDER BY s.purge_after LIMIT $2) AS x";
pub(crate) const EXPIRED_ROOTS: &str = "SELECT r.partition FROM keywright.roots AS r
    WHERE r.purge_after OPERATOR(pg_catalog.<) $1 ORDER BY r.purge_after LIMIT $2";
pub(crate) const FORGETTABLE: &str = "SELECT old.partition, old.chain FROM keywright.events AS old
    WHERE old.at OPERATOR(pg_catalog.<) $1
    AND NOT EXISTS (SELECT 1 FROM keywright.events AS e WHERE e.partition OPERATOR(pg_catalog.=) old.partition
        AND e.chain OPERATOR(pg_catalog.=) old.chain AND e.number OPERATOR(pg_catalog.<) old.number)
    AND EXISTS (SELECT 1 FROM keywright.events AS e WHERE e.partition OPERATOR(pg_catalog.=) old.partition
        AND e.chain OPERATOR(pg_catalog.=) old.chain AND e.number OPERATOR(pg_catalog.>) old.number)
    ORDER BY old.at LIMIT $2";
pub(crate) const DUE: &str = primary!(
    "SELECT r.partition, r.due_at FROM keywright.roots AS r
        WHERE r.due_at OPERATOR(pg_catalog.<=) $1 AND (r.due_at OPERATOR(pg_catalog.>) $2
            OR (r.due_at OPERATOR(pg_catalog.=) $2 AND r.partition OPERATOR(pg_catalog.>) $3))
        ORDER BY r.due_at, r.partition LIMIT $4) AS x ON true ORDER BY x.due_at, x.partition"
);

macro_rules! first_after {
    ($table:literal) => {
        concat!(
            "(SELECT t.partition FROM keywright.",
            $table,
            " AS t WHERE t.partition OPERATOR(pg_catalog.>) $1 ORDER BY t.partition LIMIT 1)"
        )
    };
}

/// The first partition after one: a search of each table's primary key, so that no table is
/// scanned.
pub(crate) const NEXT_PARTITION: &str = primary!(
    "SELECT t.partition FROM (",
    first_after!("roots"),
    " UNION ALL ",
    first_after!("records"),
    " UNION ALL ",
    first_after!("ciphers"),
    " UNION ALL ",
    first_after!("stages"),
    " UNION ALL ",
    first_after!("staged"),
    " UNION ALL ",
    first_after!("events"),
    ") AS t ORDER BY t.partition LIMIT 1) AS x ON true"
);

/// The statements whose first value is their partition.
#[cfg(test)]
pub(crate) const WITHIN: [&str; 15] = [
    APPLY,
    HOLD,
    STAGE,
    UNSTAGE,
    SWEEP,
    FORGET,
    LOAD,
    CHECK,
    EVENTS,
    SLOTS,
    MARKS,
    ROWS,
    SOME_ROWS,
    STAGED,
    STAGED_TEXTS,
];

/// The statements of housekeeping, which list partitions.
#[cfg(test)]
pub(crate) const ACROSS: [&str; 8] =
    [HORIZON, MOVE_HORIZON, EXPIRED_RECORDS, EXPIRED_STAGES, EXPIRED_ROOTS, FORGETTABLE, DUE, NEXT_PARTITION];

#[cfg(test)]
mod tests {
    use keywright_testing::postgres::Cluster;

    use super::*;
    use crate::schema::DISTRIBUTE;
    use crate::store::PostgresStore;

    const TABLES: [&str; 6] = ["roots", "records", "ciphers", "stages", "staged", "events"];

    /// How often each of the tables is named, with the alias that follows.
    fn named(sql: &str) -> Vec<(&str, String)> {
        let words: Vec<&str> = sql.split_whitespace().collect();
        let table = |word: &str| {
            let name = word.trim_start_matches('(').strip_prefix("keywright.")?;
            TABLES.into_iter().find(|table| *table == name)
        };
        let alias =
            |at: usize| words.get(at.saturating_add(2)).unwrap().trim_matches(|sign| ",)".contains(sign)).to_owned();
        words.iter().enumerate().filter_map(|(at, word)| Some((table(word)?, alias(at)))).collect()
    }

    #[test]
    fn every_statement_of_a_request_carries_its_partition() {
        for sql in WITHIN {
            if let Some((_, call)) = sql.split_once("SELECT keywright.") {
                let (_, arguments) = call.split_once('(').unwrap();
                assert!(arguments.starts_with("$1"), "{sql}");
                continue;
            }
            let tables = named(sql);
            assert!(!tables.is_empty(), "{sql}");
            let conditions: usize = ["r", "e", "c", "s"]
                .iter()
                .map(|alias| sql.matches(&format!(" {alias}.partition OPERATOR(pg_catalog.=) $1")).count())
                .sum();
            assert_eq!(conditions, tables.len(), "{tables:?} in {sql}");
        }
        for sql in ACROSS {
            // They only read, except for the one row of the horizon.
            assert!(!["INSERT", "UPDATE", "DELETE"].iter().any(|word| sql.contains(word)), "{sql}");
        }
        for sql in WITHIN.iter().chain(&ACROSS) {
            // No operator or function may come from another schema.
            let bare = sql.replace("OPERATOR(pg_catalog.", "").replace(":=", "").replace("=>", "");
            let signs = bare.matches([' ', '(']).count();
            assert!(signs > 0 && !bare.contains(" = ") && !bare.contains(" < ") && !bare.contains(" > "), "{sql}");
        }
    }

    /// The rule as the database has it: keys, functions, and what a distributed database is asked for.
    #[tokio::test]
    async fn every_key_and_function_begins_with_the_partition() {
        let cluster = Cluster::new();
        drop(PostgresStore::open(&cluster.url("postgres")).await.unwrap());
        let unique = cluster.sql(
            "postgres",
            "SELECT c.relname || ' ' || a.attname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
                 JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
             WHERE c.relnamespace = 'keywright'::regnamespace AND i.indisunique ORDER BY 1",
        );
        let mut keys: Vec<String> = TABLES.iter().map(|table| format!("{table} partition")).collect();
        keys.push("meta name".to_owned());
        keys.sort();
        assert_eq!(unique, keys.join("\n"));
        let crossing = cluster.sql(
            "postgres",
            "SELECT (SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'keywright'::regnamespace),
                 (SELECT count(*) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'keywright'::regnamespace),
                 (SELECT count(*) FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid
                  WHERE c.relnamespace = 'keywright'::regnamespace)",
        );
        assert_eq!(crossing, "0|0|0", "foreign keys, sequences, triggers");

        let functions = cluster.sql(
            "postgres",
            "SELECT proname || '|' || coalesce(proargnames[1], '') || '|' || translate(prosrc, E'\\n', ' ')
             FROM pg_proc WHERE pronamespace = 'keywright'::regnamespace",
        );
        let distributed = DISTRIBUTE.join("\n");
        for function in functions.lines() {
            let (name, rest) = function.split_once('|').unwrap();
            let (first, body) = rest.split_once('|').unwrap();
            if name == "move_horizon" {
                continue;
            }
            assert_eq!(first, "p_partition", "{name}");
            assert!(distributed.contains(&format!("LIKE 'keywright.{name}(%'")), "{name}");
            for statement in body.split(';') {
                let tables = TABLES.iter().map(|table| statement.matches(&format!("keywright.{table} ")).count());
                let carried =
                    ["partition = p_partition", "VALUES (p_partition"].map(|form| statement.matches(form).count());
                assert_eq!(carried.iter().sum::<usize>(), tables.sum::<usize>(), "{name}: {statement}");
            }
        }
        for table in TABLES {
            assert!(
                distributed.contains(&format!("create_distributed_table('keywright.{table}', 'partition'")),
                "{table}"
            );
        }
    }
}

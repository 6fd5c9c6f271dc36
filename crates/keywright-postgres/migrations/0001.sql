-- The tables and functions of version 1. A file is never edited once released; files are only added.
--
-- Keys are bytes (`bytea`), so neither the database's encoding nor its collation matters. Every primary key begins with
-- the partition, and so does every statement's condition: with the tables distributed by it, one account is on one node.
-- The functions run as their owner and with a search path of their own. Whoever serves requests needs SELECT and EXECUTE.

DO $body$
BEGIN
    -- It may have been created for a role that may not create schemas.
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'keywright') THEN
        CREATE SCHEMA keywright;
    END IF;
END
$body$;
REVOKE ALL ON SCHEMA keywright FROM PUBLIC;

-- The few facts about the whole store: its schema's version, and the horizon of the sweeps. A reference table where the
-- others are distributed.
CREATE TABLE keywright.meta (
    name text COLLATE "C" NOT NULL,
    value bigint NOT NULL CHECK (value BETWEEN 0 AND 253402300799),
    PRIMARY KEY (name)
);

-- A root is rewritten by every commit of its account. There must be space on its page for the next version, and its body
-- must stay on that page: otherwise each commit leaves dead rows in the index and in the TOAST table.
CREATE TABLE keywright.roots (
    partition bytea NOT NULL,
    revision bytea NOT NULL CHECK (octet_length(revision) = 16),
    body bytea NOT NULL,
    purge_after bigint CHECK (purge_after BETWEEN 0 AND 253402300799),
    due_at bigint CHECK (due_at BETWEEN 0 AND 253402300799),
    PRIMARY KEY (partition)
) WITH (fillfactor = 70, toast_tuple_target = 8160);
ALTER TABLE keywright.roots ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX roots_purge ON keywright.roots (purge_after) WHERE purge_after IS NOT NULL;
CREATE INDEX roots_due ON keywright.roots (due_at, partition) WHERE due_at IS NOT NULL;

CREATE TABLE keywright.records (
    partition bytea NOT NULL,
    slot bytea NOT NULL,
    body bytea NOT NULL,
    purge_after bigint CHECK (purge_after BETWEEN 0 AND 253402300799),
    PRIMARY KEY (partition, slot)
) WITH (fillfactor = 80);
ALTER TABLE keywright.records ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX records_purge ON keywright.records (purge_after, partition) WHERE purge_after IS NOT NULL;

CREATE TABLE keywright.ciphers (
    partition bytea NOT NULL,
    id bytea NOT NULL CHECK (octet_length(id) = 16),
    text_mark bytea NOT NULL CHECK (octet_length(text_mark) = 16),
    note_mark bytea NOT NULL CHECK (octet_length(note_mark) = 16),
    nonce bytea NOT NULL CHECK (octet_length(nonce) = 16),
    note bytea NOT NULL,
    text bytea NOT NULL,
    PRIMARY KEY (partition, id)
);
ALTER TABLE keywright.ciphers ALTER COLUMN note SET STORAGE EXTERNAL, ALTER COLUMN text SET STORAGE EXTERNAL;

CREATE TABLE keywright.stages (
    partition bytea NOT NULL,
    stage bytea NOT NULL CHECK (octet_length(stage) = 16),
    purge_after bigint NOT NULL CHECK (purge_after BETWEEN 0 AND 253402300799),
    PRIMARY KEY (partition, stage)
);
CREATE INDEX stages_purge ON keywright.stages (purge_after, partition);

CREATE TABLE keywright.staged (
    partition bytea NOT NULL,
    stage bytea NOT NULL CHECK (octet_length(stage) = 16),
    id bytea NOT NULL CHECK (octet_length(id) = 16),
    text_mark bytea NOT NULL CHECK (octet_length(text_mark) = 16),
    nonce bytea NOT NULL CHECK (octet_length(nonce) = 16),
    text bytea NOT NULL,
    PRIMARY KEY (partition, stage, id)
);
ALTER TABLE keywright.staged ALTER COLUMN text SET STORAGE EXTERNAL;

CREATE TABLE keywright.events (
    partition bytea NOT NULL,
    chain bigint NOT NULL CHECK (chain IN (0, 1)),
    number bigint NOT NULL CHECK (number > 0),
    at bigint NOT NULL CHECK (at BETWEEN 0 AND 253402300799),
    json bytea NOT NULL,
    prev bytea NOT NULL CHECK (octet_length(prev) = 32),
    PRIMARY KEY (partition, chain, number)
);
CREATE INDEX events_at ON keywright.events (at);

-- In every function, the advisory lock is the partition's turn until the end of the transaction. It is not the guard. It
-- lets whoever comes too late leave without having locked the root's row, which would be written, and flushed, for
-- nothing.

-- One commit: one compare-and-set of the root (`p_expect`; NULL: there is none), and everything else. False: the root has
-- another revision, or a write of the vault does not cover what the account has. Then nothing is written.
--
-- Rows are written in loops of single statements, each with its partition: in one statement with modifying CTEs, a
-- distributed database would run a subplan for each, under a commit in two phases.
CREATE FUNCTION keywright.apply(
    p_partition bytea, p_expect bytea, p_revision bytea, p_root bytea, p_purge_after bigint, p_due_at bigint,
    p_erase boolean, p_delete bytea[],
    p_put_slots bytea[], p_put_bodies bytea[], p_put_purges bigint[],
    p_forget_chains bigint[], p_forget_below bigint[],
    p_event_chains bigint[], p_event_numbers bigint[], p_event_ats bigint[], p_event_jsons bytea[], p_event_prevs bytea[],
    p_vault bigint, p_stage bytea, p_gone bytea[], p_ids bytea[], p_text_marks bytea[], p_note_marks bytea[],
    p_nonces bytea[], p_notes bytea[], p_texts bytea[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $body$
DECLARE
    v_revision bytea;
    v_count bigint;
    v_floor bigint;
BEGIN
    IF cardinality(p_put_bodies) <> cardinality(p_put_slots) OR cardinality(p_put_purges) <> cardinality(p_put_slots)
        OR cardinality(p_forget_below) <> cardinality(p_forget_chains)
        OR cardinality(p_event_numbers) <> cardinality(p_event_chains)
        OR cardinality(p_event_ats) <> cardinality(p_event_chains)
        OR cardinality(p_event_jsons) <> cardinality(p_event_chains)
        OR cardinality(p_event_prevs) <> cardinality(p_event_chains)
        OR cardinality(p_text_marks) <> cardinality(p_ids)
        OR (p_vault <> 3 AND cardinality(p_nonces) <> cardinality(p_ids))
        OR (p_vault <> 3 AND cardinality(p_texts) <> cardinality(p_ids))
        OR (p_vault = 1 AND cardinality(p_note_marks) <> cardinality(p_ids))
        OR (p_vault = 1 AND cardinality(p_notes) <> cardinality(p_ids))
    THEN
        RAISE EXCEPTION 'keywright: the columns of a batch differ in length' USING ERRCODE = '22023';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'keywright: this server is a standby' USING ERRCODE = '25006';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(p_partition, 'hex'), 5431205513406050));

    SELECT revision INTO v_revision FROM keywright.roots WHERE partition = p_partition;
    IF v_revision IS DISTINCT FROM p_expect THEN
        RETURN false;
    END IF;

    -- A swap (2) or a promotion (3) covers exactly the ciphers that there are.
    IF p_vault IN (2, 3) THEN
        SELECT count(*) INTO v_count FROM keywright.ciphers WHERE partition = p_partition;
        IF v_count <> cardinality(p_ids) THEN
            RETURN false;
        END IF;
        SELECT count(*) INTO v_count FROM keywright.ciphers AS c
            WHERE c.partition = p_partition AND c.id = ANY (p_ids);
        IF v_count <> cardinality(p_ids) THEN
            RETURN false;
        END IF;
    END IF;
    -- A stage holds exactly what was checked.
    IF p_vault = 3 THEN
        SELECT count(*) INTO v_count FROM keywright.staged WHERE partition = p_partition AND stage = p_stage;
        IF v_count <> cardinality(p_ids) THEN
            RETURN false;
        END IF;
        SELECT count(*) INTO v_count FROM unnest(p_ids, p_text_marks) AS u(id, text_mark)
            JOIN keywright.staged AS s
            ON s.partition = p_partition AND s.stage = p_stage AND s.id = u.id AND s.text_mark = u.text_mark;
        IF v_count <> cardinality(p_ids) THEN
            RETURN false;
        END IF;
    END IF;

    -- Until the end of the transaction, which must be flushed before it is answered, whatever the role's setting is.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- A writer that expires a partition may have a clock that is behind. The partition is kept for a day beyond the
    -- horizon, so that no late commit finds it swept.
    IF p_purge_after IS NOT NULL THEN
        SELECT least(value + 86400, 253402300799) INTO v_floor FROM keywright.meta WHERE name = 'horizon';
        p_purge_after := greatest(p_purge_after, v_floor);
    END IF;
    IF p_expect IS NULL THEN
        INSERT INTO keywright.roots (partition, revision, body, purge_after, due_at)
            VALUES (p_partition, p_revision, p_root, p_purge_after, p_due_at)
            ON CONFLICT (partition) DO NOTHING;
    ELSE
        UPDATE keywright.roots
            SET revision = p_revision, body = p_root, purge_after = p_purge_after, due_at = p_due_at
            WHERE partition = p_partition AND revision = p_expect;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    IF p_erase THEN
        DELETE FROM keywright.records WHERE partition = p_partition;
        DELETE FROM keywright.ciphers WHERE partition = p_partition;
        DELETE FROM keywright.staged WHERE partition = p_partition;
        DELETE FROM keywright.stages WHERE partition = p_partition;
    END IF;
    FOR i IN 1 .. cardinality(p_delete) LOOP
        DELETE FROM keywright.records WHERE partition = p_partition AND slot = p_delete[i];
    END LOOP;
    FOR i IN 1 .. cardinality(p_put_slots) LOOP
        INSERT INTO keywright.records (partition, slot, body, purge_after)
            VALUES (p_partition, p_put_slots[i], p_put_bodies[i], p_put_purges[i])
            ON CONFLICT (partition, slot) DO UPDATE SET body = excluded.body, purge_after = excluded.purge_after;
    END LOOP;

    IF p_vault = 1 THEN
        -- Deletions come first, so an id in both lists is put.
        FOR i IN 1 .. cardinality(p_gone) LOOP
            DELETE FROM keywright.ciphers WHERE partition = p_partition AND id = p_gone[i];
        END LOOP;
        FOR i IN 1 .. cardinality(p_ids) LOOP
            INSERT INTO keywright.ciphers (partition, id, text_mark, note_mark, nonce, note, text)
                VALUES (p_partition, p_ids[i], p_text_marks[i], p_note_marks[i], p_nonces[i], p_notes[i], p_texts[i])
                ON CONFLICT (partition, id) DO UPDATE SET text_mark = excluded.text_mark,
                    note_mark = excluded.note_mark, nonce = excluded.nonce, note = excluded.note, text = excluded.text;
        END LOOP;
    ELSIF p_vault IN (2, 3) THEN
        IF p_vault = 2 THEN
            UPDATE keywright.ciphers AS c SET text_mark = u.text_mark, nonce = u.nonce, text = u.text
                FROM unnest(p_ids, p_text_marks, p_nonces, p_texts) AS u(id, text_mark, nonce, text)
                WHERE c.partition = p_partition AND c.id = u.id;
        ELSE
            UPDATE keywright.ciphers AS c SET text_mark = s.text_mark, nonce = s.nonce, text = s.text
                FROM keywright.staged AS s
                WHERE c.partition = p_partition AND s.partition = p_partition AND s.stage = p_stage AND s.id = c.id;
        END IF;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count <> cardinality(p_ids) THEN
            -- Somebody has edited the rows by hand since they were counted.
            RAISE EXCEPTION 'keywright: % of % ciphers were replaced', v_count, cardinality(p_ids)
                USING ERRCODE = '40001';
        END IF;
        IF p_vault = 3 THEN
            DELETE FROM keywright.staged WHERE partition = p_partition AND stage = p_stage;
            DELETE FROM keywright.stages WHERE partition = p_partition AND stage = p_stage;
        END IF;
    END IF;

    FOR i IN 1 .. cardinality(p_forget_chains) LOOP
        DELETE FROM keywright.events
            WHERE partition = p_partition AND chain = p_forget_chains[i] AND number < p_forget_below[i];
    END LOOP;
    FOR i IN 1 .. cardinality(p_event_chains) LOOP
        INSERT INTO keywright.events (partition, chain, number, at, json, prev)
            VALUES (p_partition, p_event_chains[i], p_event_numbers[i], p_event_ats[i], p_event_jsons[i],
                p_event_prevs[i]);
    END LOOP;
    RETURN true;
END
$body$;

-- Whether the root has this revision, for the rest of a host's transaction: nobody else can move it until that ends.
CREATE FUNCTION keywright.hold(p_partition bytea, p_expect bytea) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $body$
DECLARE
    v_revision bytea;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'keywright: this server is a standby' USING ERRCODE = '25006';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(p_partition, 'hex'), 5431205513406050));
    SELECT revision INTO v_revision FROM keywright.roots WHERE partition = p_partition FOR SHARE;
    RETURN v_revision IS NOT DISTINCT FROM p_expect;
END
$body$;

-- Keeps rows under a stage id, replacing those of the same id. False: there is no root.
CREATE FUNCTION keywright.stage(
    p_partition bytea, p_stage bytea, p_purge_after bigint,
    p_ids bytea[], p_text_marks bytea[], p_nonces bytea[], p_texts bytea[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $body$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'keywright: this server is a standby' USING ERRCODE = '25006';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(p_partition, 'hex'), 5431205513406050));
    PERFORM FROM keywright.roots WHERE partition = p_partition;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO keywright.stages (partition, stage, purge_after) VALUES (p_partition, p_stage, p_purge_after)
        ON CONFLICT (partition, stage) DO UPDATE SET purge_after = excluded.purge_after;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        INSERT INTO keywright.staged (partition, stage, id, text_mark, nonce, text)
            VALUES (p_partition, p_stage, p_ids[i], p_text_marks[i], p_nonces[i], p_texts[i])
            ON CONFLICT (partition, stage, id) DO UPDATE SET text_mark = excluded.text_mark, nonce = excluded.nonce,
                text = excluded.text;
    END LOOP;
    RETURN true;
END
$body$;

-- Drops a stage and its rows.
CREATE FUNCTION keywright.unstage(p_partition bytea, p_stage bytea) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $body$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'keywright: this server is a standby' USING ERRCODE = '25006';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(p_partition, 'hex'), 5431205513406050));
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    DELETE FROM keywright.staged WHERE partition = p_partition AND stage = p_stage;
    DELETE FROM keywright.stages WHERE partition = p_partition AND stage = p_stage;
    RETURN true;
END
$body$;

-- Drops what of one partition lies before the horizon, as it is now: records (0), stages (1), or the partition as a
-- whole (2). Returns how many.
CREATE FUNCTION keywright.sweep(p_partition bytea, p_kind bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $body$
DECLARE
    v_horizon bigint;
    v_key bytea;
    v_count bigint := 0;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'keywright: this server is a standby' USING ERRCODE = '25006';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(p_partition, 'hex'), 5431205513406050));
    SELECT value INTO v_horizon FROM keywright.meta WHERE name = 'horizon';
    IF v_horizon IS NULL THEN
        RETURN 0;
    ELSIF p_kind = 2 THEN
        DELETE FROM keywright.roots WHERE partition = p_partition AND purge_after < v_horizon;
        IF NOT FOUND THEN
            RETURN 0;
        END IF;
        DELETE FROM keywright.records WHERE partition = p_partition;
        DELETE FROM keywright.ciphers WHERE partition = p_partition;
        DELETE FROM keywright.staged WHERE partition = p_partition;
        DELETE FROM keywright.stages WHERE partition = p_partition;
        DELETE FROM keywright.events WHERE partition = p_partition;
        RETURN 1;
    ELSIF p_kind = 1 THEN
        FOR v_key IN
            SELECT stage FROM keywright.stages WHERE partition = p_partition AND purge_after < v_horizon LIMIT p_limit
        LOOP
            DELETE FROM keywright.staged WHERE partition = p_partition AND stage = v_key;
            DELETE FROM keywright.stages WHERE partition = p_partition AND stage = v_key;
            v_count := v_count + 1;
        END LOOP;
    ELSE
        FOR v_key IN
            SELECT slot FROM keywright.records WHERE partition = p_partition AND purge_after < v_horizon LIMIT p_limit
        LOOP
            DELETE FROM keywright.records WHERE partition = p_partition AND slot = v_key AND purge_after < v_horizon;
            v_count := v_count + 1;
        END LOOP;
    END IF;
    RETURN v_count;
END
$body$;

-- Drops old events of one chain: those below the first that is not older than the horizon by more than `p_age` seconds,
-- and never the newest. Returns how many.
CREATE FUNCTION keywright.forget(p_partition bytea, p_chain bigint, p_age bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $body$
DECLARE
    v_cutoff bigint;
    v_below bigint;
    v_first bigint;
    v_last bigint;
    v_count bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'keywright: this server is a standby' USING ERRCODE = '25006';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(p_partition, 'hex'), 5431205513406050));
    SELECT greatest(value - p_age, 0) INTO v_cutoff FROM keywright.meta WHERE name = 'horizon';
    SELECT max(number) INTO v_below FROM keywright.events WHERE partition = p_partition AND chain = p_chain;
    SELECT number INTO v_first FROM keywright.events
        WHERE partition = p_partition AND chain = p_chain AND at >= v_cutoff ORDER BY number LIMIT 1;
    v_below := least(v_below, v_first);
    SELECT max(number) INTO v_last FROM (
        SELECT number FROM keywright.events
        WHERE partition = p_partition AND chain = p_chain AND number < v_below ORDER BY number LIMIT p_limit
    ) AS oldest;
    IF v_cutoff IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM keywright.events WHERE partition = p_partition AND chain = p_chain AND number <= v_last;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$body$;

-- Moves the horizon of the sweeps, and returns it. The one statement that reads all partitions, and only the first time.
CREATE FUNCTION keywright.move_horizon(p_now bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $body$
DECLARE
    v_newest bigint;
    v_moved bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'keywright: this server is a standby' USING ERRCODE = '25006';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE keywright.meta SET value = least(p_now, value + 86400) WHERE name = 'horizon'
        RETURNING value INTO v_moved;
    IF NOT FOUND THEN
        SELECT max(at) INTO v_newest FROM keywright.events;
        INSERT INTO keywright.meta (name, value) VALUES ('horizon', least(p_now, coalesce(v_newest, p_now) + 86400))
            ON CONFLICT (name) DO UPDATE SET value = least(p_now, keywright.meta.value + 86400)
            RETURNING value INTO v_moved;
    END IF;
    RETURN v_moved;
END
$body$;

-- Functions are executable by everybody until that is revoked.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keywright FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA keywright FROM PUBLIC;

-- The shop has this already.
CREATE SCHEMA shop;

CREATE TABLE shop.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    password_hash text,
    password_changed_at timestamptz
);

-- What Keywright keeps in it. `owner` is a partition's key: `a/` and the account's id, which here is the decimal
-- `users.id`; or that of a unique name, or of the server. It has no foreign key to `users`: deleting the user's row must
-- not delete a root and leave the rest. Erase the account first (`Keywright::erase_account`), then delete the user.
--
-- COLLATE "C" is the order of bytes, in which partitions and slots are listed. The database's encoding must be UTF8.

-- One row for each partition. `revision` is the guard of every commit.
CREATE TABLE shop.account_security_roots (
    owner text COLLATE "C" PRIMARY KEY,
    revision bytea NOT NULL CHECK (octet_length(revision) = 16),
    body bytea NOT NULL,
    purge_after bigint,
    due_at bigint
) WITH (fillfactor = 70);
CREATE INDEX ON shop.account_security_roots (purge_after) WHERE purge_after IS NOT NULL;
CREATE INDEX account_security_due ON shop.account_security_roots (due_at, owner) WHERE due_at IS NOT NULL;

CREATE TABLE shop.account_security_records (
    owner text COLLATE "C" NOT NULL,
    slot text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    purge_after bigint,
    PRIMARY KEY (owner, slot)
);
CREATE INDEX ON shop.account_security_records (purge_after) WHERE purge_after IS NOT NULL;

-- `json` holds the bytes that were committed, over which there is a hash. `jsonb` would rewrite them.
CREATE TABLE shop.account_security_events (
    owner text COLLATE "C" NOT NULL,
    chain smallint NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    json bytea NOT NULL,
    prev bytea NOT NULL CHECK (octet_length(prev) = 32),
    PRIMARY KEY (owner, chain, number)
);
CREATE INDEX ON shop.account_security_events (at);

-- At most one row: how far sweeps have come.
CREATE TABLE shop.account_security_horizon (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    at bigint NOT NULL CHECK (at BETWEEN 0 AND 253402300799)
);

-- The sequencer of the rollup program (docs/guide/sequencer.md). Conventions are those of 0001.

-- Consecutive batches whose proofs are merged into one. At most one is open.
CREATE TABLE sequences (
    -- From 1, without gaps.
    number INTEGER PRIMARY KEY,
    -- The name on the chain that the jobs of its batches share.
    chain_job BLOB NOT NULL UNIQUE CHECK (length(chain_job) = 32),
    opened INTEGER NOT NULL,
    closed INTEGER,
    root BLOB CHECK (length(root) = 32),
    root_bytes INTEGER,
    merged INTEGER,
    CHECK ((root IS NULL) = (root_bytes IS NULL)),
    CHECK ((root IS NULL) = (merged IS NULL)),
    CHECK (root IS NULL OR closed IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX sequences_open ON sequences (closed IS NULL) WHERE closed IS NULL;
CREATE INDEX sequences_to_merge ON sequences (number) WHERE root IS NULL;
CREATE INDEX sequences_by_root ON sequences (root) WHERE root IS NOT NULL;

CREATE TABLE batches (
    -- That of the accounts' store after it.
    number INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL REFERENCES sequences (number),
    transactions INTEGER NOT NULL CHECK (transactions > 0),
    -- How many of them are deposits.
    deposits INTEGER NOT NULL CHECK (deposits BETWEEN 0 AND transactions),
    steps INTEGER NOT NULL CHECK (steps > 0),
    -- Encoded state after it.
    end_state BLOB NOT NULL,
    -- Bytes of its blobs, and their SHA-256: the job, and the data for the chain.
    job_bytes INTEGER NOT NULL,
    job_hash BLOB NOT NULL CHECK (length(job_hash) = 32),
    data_bytes INTEGER NOT NULL,
    data_hash BLOB NOT NULL CHECK (length(data_hash) = 32),
    sealed INTEGER NOT NULL,
    -- How often it was, or is to be, handed over as a job: more than once only if a job ended without a proof.
    attempt INTEGER NOT NULL DEFAULT 1,
    job INTEGER UNIQUE REFERENCES jobs (id),
    -- Whether the blob of its job was given up; its data stays.
    purged INTEGER NOT NULL DEFAULT 0 CHECK (purged IN (0, 1))
) STRICT;
CREATE INDEX batches_by_sequence ON batches (sequence, number);
CREATE INDEX batches_to_hand_over ON batches (number) WHERE job IS NULL;
CREATE TRIGGER batches_follow BEFORE INSERT ON batches
WHEN NEW.number <> (SELECT coalesce(max(number) + 1, NEW.number) FROM batches)
BEGIN
    SELECT RAISE(ABORT, 'a batch does not follow the last one');
END;
CREATE TRIGGER batches_in_open_sequence BEFORE INSERT ON batches
WHEN (SELECT closed FROM sequences WHERE number = NEW.sequence) IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the sequence is closed');
END;

-- Only batches of a sequence share a name on the chain.
CREATE TRIGGER jobs_have_names BEFORE INSERT ON jobs
WHEN EXISTS (SELECT 1 FROM jobs
             WHERE chain_job = NEW.chain_job AND chain_id = NEW.chain_id AND contract = NEW.contract)
    AND NOT EXISTS (SELECT 1 FROM sequences WHERE chain_job = NEW.chain_job)
BEGIN
    SELECT RAISE(ABORT, 'another job has this name on the chain');
END;

CREATE TABLE transactions (
    -- In the order in which they came.
    id INTEGER PRIMARY KEY,
    -- The message that was signed.
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    account INTEGER NOT NULL,
    nonce INTEGER NOT NULL,
    -- Amount and fee, big-endian.
    cost BLOB NOT NULL CHECK (length(cost) = 16),
    received INTEGER NOT NULL,
    -- Its encoding while it is pending.
    bytes BLOB,
    batch INTEGER REFERENCES batches (number),
    position INTEGER,
    -- When and why it was dropped: a code, and words where there are some.
    dropped INTEGER,
    reason TEXT,
    detail TEXT,
    CHECK ((batch IS NULL) = (position IS NULL)),
    CHECK ((dropped IS NULL) = (reason IS NULL)),
    CHECK (batch IS NULL OR dropped IS NULL),
    CHECK ((bytes IS NOT NULL) = (batch IS NULL AND dropped IS NULL))
) STRICT;
CREATE UNIQUE INDEX transactions_pending ON transactions (account, nonce) WHERE bytes IS NOT NULL;
CREATE INDEX transactions_in_order ON transactions (id) WHERE bytes IS NOT NULL;
CREATE UNIQUE INDEX transactions_by_batch ON transactions (batch, position) WHERE batch IS NOT NULL;
CREATE INDEX transactions_dropped ON transactions (dropped) WHERE dropped IS NOT NULL;

CREATE TABLE deposits (
    -- As in the contract's queue: without gaps.
    number INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL,
    received INTEGER NOT NULL,
    batch INTEGER REFERENCES batches (number),
    position INTEGER,
    CHECK ((batch IS NULL) = (position IS NULL))
) STRICT;
CREATE INDEX deposits_waiting ON deposits (number) WHERE batch IS NULL;
CREATE UNIQUE INDEX deposits_by_batch ON deposits (batch, position) WHERE batch IS NOT NULL;
CREATE TRIGGER deposits_follow BEFORE INSERT ON deposits
WHEN NEW.number <> (SELECT coalesce(max(number) + 1, NEW.number) FROM deposits)
BEGIN
    SELECT RAISE(ABORT, 'a deposit does not follow the last one');
END;

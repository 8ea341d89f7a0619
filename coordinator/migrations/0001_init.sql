-- Hashes, keys and addresses are blobs of fixed length; times are milliseconds since 1970; numbers are below 2^63.

-- One row. `runs` counts starts; `next_job` is the lowest job number that was not given out.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    runs INTEGER NOT NULL,
    next_job INTEGER NOT NULL
) STRICT;
INSERT INTO meta (id, runs, next_job) VALUES (1, 0, 1);

CREATE TABLE clients (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    -- 0 client, 1 admin
    role INTEGER NOT NULL CHECK (role IN (0, 1)),
    token BLOB NOT NULL UNIQUE CHECK (length(token) = 32),
    weight INTEGER NOT NULL CHECK (weight > 0),
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    chain_id INTEGER NOT NULL,
    contract BLOB NOT NULL CHECK (length(contract) = 20),
    chain_job BLOB NOT NULL CHECK (length(chain_job) = 32),
    client INTEGER NOT NULL REFERENCES clients (id),
    program TEXT NOT NULL,
    parameters BLOB NOT NULL CHECK (length(parameters) = 32),
    steps INTEGER NOT NULL CHECK (steps > 0),
    rows INTEGER NOT NULL CHECK (rows > 0),
    -- Credit of a step.
    cost INTEGER NOT NULL CHECK (cost >= 0),
    memory INTEGER NOT NULL,
    start_state BLOB NOT NULL,
    end_state BLOB NOT NULL,
    weight INTEGER NOT NULL,
    bounty INTEGER NOT NULL,
    height INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    submitted INTEGER NOT NULL,
    -- 0 open, 1 done, 2 cancelled, 3 expired, 4 failed
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
    ended INTEGER,
    reason TEXT,
    root BLOB CHECK (length(root) = 32),
    root_bytes INTEGER,
    -- Bytes of its blobs, and their SHA-256 one after the other: inputs, index, states.
    input_bytes INTEGER NOT NULL,
    state_bytes INTEGER NOT NULL CHECK (state_bytes > 0),
    hashes BLOB NOT NULL CHECK (length(hashes) = 96),
    -- What was given up: 0 nothing, 1 all but the root proof, 2 that too.
    purged INTEGER NOT NULL DEFAULT 0 CHECK (purged BETWEEN 0 AND 2),
    CHECK ((state = 0) = (ended IS NULL)),
    CHECK ((state = 1) = (root IS NOT NULL)),
    CHECK ((root IS NULL) = (root_bytes IS NULL)),
    CHECK (purged = 0 OR state <> 0)
) STRICT;
-- Not unique: batches of a sequence share a name. A trigger of 0002 refuses all other sharing.
CREATE INDEX jobs_by_name ON jobs (chain_job, chain_id, contract);
CREATE INDEX jobs_by_client ON jobs (client, id);
CREATE INDEX jobs_open ON jobs (id) WHERE state = 0;
CREATE INDEX jobs_to_purge ON jobs (purged, ended) WHERE ended IS NOT NULL;
CREATE INDEX jobs_by_root ON jobs (root) WHERE root IS NOT NULL;

CREATE TABLE job_keys (
    client INTEGER NOT NULL REFERENCES clients (id),
    key TEXT NOT NULL,
    body BLOB NOT NULL CHECK (length(body) = 32),
    job INTEGER NOT NULL REFERENCES jobs (id),
    PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE provers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE CHECK (length(key) = 32),
    payout BLOB NOT NULL CHECK (length(payout) = 20),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    strikes INTEGER NOT NULL DEFAULT 0,
    suspended_until INTEGER NOT NULL DEFAULT 0,
    -- The sum of its rows in the ledger, which would take long to add up.
    credit INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX provers_by_credit ON provers (credit DESC, id);

-- Sums of the ledger by address.
CREATE TABLE payouts (
    address BLOB PRIMARY KEY CHECK (length(address) = 20),
    credit INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX payouts_by_credit ON payouts (credit DESC, address);

-- Every proof that was uploaded in full by the prover that made it.
CREATE TABLE proofs (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    prover INTEGER NOT NULL REFERENCES provers (id),
    payout BLOB NOT NULL CHECK (length(payout) = 20),
    job INTEGER NOT NULL REFERENCES jobs (id),
    lo INTEGER NOT NULL CHECK (lo >= 0),
    hi INTEGER NOT NULL CHECK (hi > lo),
    bytes INTEGER NOT NULL,
    task INTEGER,
    uploaded INTEGER NOT NULL,
    -- 0 undecided, 1 counted, 2 spare, 3 compensated, 4 superseded, 5 late, 6 refused
    verdict INTEGER NOT NULL DEFAULT 0 CHECK (verdict BETWEEN 0 AND 6),
    -- Steps owed for a spare, or compensated.
    steps INTEGER NOT NULL DEFAULT 0,
    reason TEXT
) STRICT;
CREATE INDEX proofs_by_job ON proofs (job, hash);

-- Disjoint verified ranges of each job.
CREATE TABLE cover (
    job INTEGER NOT NULL REFERENCES jobs (id),
    lo INTEGER NOT NULL CHECK (lo >= 0),
    hi INTEGER NOT NULL CHECK (hi > lo),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    bytes INTEGER NOT NULL,
    -- Who made it; nobody in particular where it is a merge.
    prover INTEGER REFERENCES provers (id),
    PRIMARY KEY (job, lo)
) STRICT, WITHOUT ROWID;
CREATE INDEX cover_by_hash ON cover (hash);
CREATE TRIGGER cover_is_disjoint BEFORE INSERT ON cover
WHEN (SELECT hi FROM cover WHERE job = NEW.job AND lo < NEW.hi ORDER BY lo DESC LIMIT 1) > NEW.lo
BEGIN
    SELECT RAISE(ABORT, 'these steps overlap the cover');
END;
CREATE TRIGGER cover_is_in_job BEFORE INSERT ON cover
WHEN coalesce((SELECT steps FROM jobs WHERE id = NEW.job AND state = 0), 0) < NEW.hi
BEGIN
    SELECT RAISE(ABORT, 'these steps are not in an open job');
END;

-- Each proof is credited at most once, whatever becomes of its row in `proofs`.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    proof BLOB NOT NULL UNIQUE CHECK (length(proof) = 32),
    prover INTEGER NOT NULL REFERENCES provers (id),
    payout BLOB NOT NULL CHECK (length(payout) = 20),
    job INTEGER NOT NULL REFERENCES jobs (id),
    steps INTEGER NOT NULL CHECK (steps > 0),
    credit INTEGER NOT NULL CHECK (credit >= 0),
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_by_prover ON ledger (prover, id);
-- Here and not in the program, so that the sums can't be forgotten.
CREATE TRIGGER ledger_sums AFTER INSERT ON ledger
BEGIN
    UPDATE provers SET credit = credit + NEW.credit WHERE id = NEW.prover;
    INSERT INTO payouts (address, credit) VALUES (NEW.payout, NEW.credit)
    ON CONFLICT (address) DO UPDATE SET credit = credit + excluded.credit;
END;

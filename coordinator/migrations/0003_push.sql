-- Functions to which tasks are posted (docs/guide/operator.md). Conventions are those of 0001.

-- How much of a function's budget is used. A day is one of 86,400,000 ms since 1970; only the last one counts.
CREATE TABLE push_budgets (
    -- The key under which the function is a prover.
    key BLOB PRIMARY KEY CHECK (length(key) = 32),
    day INTEGER NOT NULL,
    steps INTEGER NOT NULL CHECK (steps >= 0)
) STRICT, WITHOUT ROWID;

# SPDX-License-Identifier: GPL-2.0-only
"""The tables of history.db. docs/history.md explains them to people who query them.

A step is never changed once a rig has written it: a newer version of the file is one more step.
"""

APPLICATION = 0x72696768
"""`PRAGMA application_id`: "righ". sqlite3 files of others do not have it."""

STEPS = (
    """
CREATE TABLE night (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE               -- 2026-11-28; names sort by time
);
CREATE TABLE tree (
    id INTEGER PRIMARY KEY,
    label TEXT NOT NULL,                    -- batch@v2 on v6.12
    source TEXT NOT NULL,                   -- path of the user's git tree, or ''
    series TEXT NOT NULL,                   -- batch@v2, or ''
    base TEXT NOT NULL,                     -- v6.12
    UNIQUE (label, source)
);
CREATE TABLE setup (
    id INTEGER PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,             -- x86_64 tcg live, and what is not the default
    arch TEXT NOT NULL, accel TEXT NOT NULL, schedule TEXT NOT NULL, flavour TEXT NOT NULL,
    lru_gen INTEGER,                        -- NULL: the kernel's choice
    cpus INTEGER NOT NULL, memory INTEGER NOT NULL, zram INTEGER NOT NULL,
    swap_disk INTEGER NOT NULL, iterations INTEGER NOT NULL, pages INTEGER NOT NULL
);
CREATE TABLE line (                         -- a case, where its results are comparable
    id INTEGER PRIMARY KEY,
    tree INTEGER NOT NULL REFERENCES tree, setup INTEGER NOT NULL REFERENCES setup,
    mutant TEXT NOT NULL,                   -- '', or the mutant; none: instrumented, no mutant
    suite TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (suite, name, tree, setup, mutant)
);
CREATE TABLE directory (                    -- what has been imported
    path TEXT PRIMARY KEY,                  -- runs/20261128-010203-v6.12
    problem TEXT NOT NULL                   -- why a part of it could not be read, or ''
) WITHOUT ROWID;
CREATE TABLE run (                          -- one kernel on one machine
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,              -- its directory, below the store
    night INTEGER NOT NULL REFERENCES night,
    tree INTEGER NOT NULL REFERENCES tree, setup INTEGER NOT NULL REFERENCES setup,
    mutant TEXT NOT NULL, seed INTEGER NOT NULL,
    selected INTEGER NOT NULL,              -- 1: --case chose some of the cases
    git_commit TEXT NOT NULL, build TEXT NOT NULL, release TEXT NOT NULL, origin TEXT NOT NULL,
    qemu TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, ended TEXT NOT NULL,
    seconds REAL NOT NULL, boot_seconds REAL NOT NULL
);
CREATE INDEX run_night ON run (night, tree, setup);
CREATE TABLE result (                       -- one case in one run
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run, line INTEGER NOT NULL REFERENCES line,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL
);
CREATE INDEX result_line ON result (line, run);
CREATE INDEX result_run ON result (run);
CREATE TABLE counter_name (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE counter (                      -- evidence
    result INTEGER NOT NULL REFERENCES result, name INTEGER NOT NULL REFERENCES counter_name,
    value INTEGER NOT NULL, floor INTEGER,  -- NULL: it has no floor
    PRIMARY KEY (result, name)
) WITHOUT ROWID;
CREATE TABLE measured (                     -- the metrics of a benchmark
    bench TEXT NOT NULL, metric TEXT NOT NULL, run INTEGER NOT NULL REFERENCES run,
    value REAL NOT NULL,
    judged INTEGER NOT NULL,                -- 0: a time under TCG, which is the emulator's
    PRIMARY KEY (bench, metric, run)
) WITHOUT ROWID;
CREATE TABLE fate (                         -- a mutant in one `rig mutate`
    path TEXT NOT NULL,                     -- the directory of the campaign, below the store
    tree INTEGER NOT NULL REFERENCES tree, setup INTEGER NOT NULL REFERENCES setup,
    mutant TEXT NOT NULL, night INTEGER NOT NULL REFERENCES night,
    fate TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (path, tree, setup, mutant)
) WITHOUT ROWID;
CREATE TABLE tally (                        -- results of a line in a night, counted
    line INTEGER NOT NULL REFERENCES line, night INTEGER NOT NULL REFERENCES night,
    outcome TEXT NOT NULL, runs INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES run,    -- the last of them
    PRIMARY KEY (line, night, outcome)
) WITHOUT ROWID;
CREATE TABLE margin (                       -- how far the counters of a line were from their floor
    line INTEGER NOT NULL REFERENCES line, name INTEGER NOT NULL REFERENCES counter_name,
    night INTEGER NOT NULL REFERENCES night, runs INTEGER NOT NULL,
    logs REAL NOT NULL,                     -- sum of the logarithms of value / floor
    lowest REAL NOT NULL,                   -- the lowest value / floor
    floor INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES run,    -- the last of them
    PRIMARY KEY (line, name, night)
) WITHOUT ROWID;
CREATE INDEX margin_night ON margin (night);
CREATE TRIGGER tally_result AFTER INSERT ON result BEGIN
    INSERT INTO tally SELECT NEW.line, night, NEW.outcome, 1, NEW.run FROM run WHERE id = NEW.run
    ON CONFLICT DO UPDATE SET runs = runs + 1, run = NEW.run;
END;
CREATE VIEW results AS
    SELECT night.name AS night, tree.label AS tree, setup.label AS setup, line.mutant AS mutant,
        line.suite || '/' || line.name AS name, result.outcome, result.reason, run.seed,
        result.seconds, run.git_commit, run.path, result.id AS result
    FROM result JOIN run ON run.id = result.run JOIN line ON line.id = result.line
    JOIN night ON night.id = run.night JOIN tree ON tree.id = line.tree
    JOIN setup ON setup.id = line.setup;
CREATE VIEW counters AS
    SELECT results.*, counter_name.name AS counter, counter.value, counter.floor
    FROM results JOIN counter USING (result) JOIN counter_name ON counter_name.id = counter.name;
CREATE VIEW benches AS
    SELECT night.name AS night, tree.label AS tree, setup.label AS setup, bench, metric, run.seed,
        value, judged, run.git_commit, run.path
    FROM measured JOIN run ON run.id = measured.run JOIN night ON night.id = run.night
    JOIN tree ON tree.id = run.tree JOIN setup ON setup.id = run.setup;
CREATE VIEW mutants AS
    SELECT night.name AS night, tree.label AS tree, setup.label AS setup, mutant, fate, reason, path
    FROM fate JOIN night ON night.id = fate.night JOIN tree ON tree.id = fate.tree
    JOIN setup ON setup.id = fate.setup;
""",
)
"""Each takes the file from its place in this list to the next version."""
VERSION = len(STEPS)

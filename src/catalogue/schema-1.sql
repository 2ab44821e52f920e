-- The records of this machine's user, one row each; src/lineage/mod.rs says what the columns mean. Times are whole
-- seconds since 1970 (UTC), lists of names JSON arrays.

-- `sequence`: the number that was given last; `seen`: what the clock said when it was last looked at.
CREATE TABLE meta (
    key TEXT PRIMARY KEY NOT NULL,
    value INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

INSERT INTO meta VALUES ('sequence', 0);

CREATE TABLE projects (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    directory TEXT NOT NULL,
    engine TEXT NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE snapshots (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL REFERENCES projects DEFERRABLE INITIALLY DEFERRED,
    -- It may be gone for good.
    branch TEXT NOT NULL,
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('asked', 'fork', 'replaced')),
    volumes TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    deleted INTEGER
) WITHOUT ROWID, STRICT;

CREATE TABLE branches (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL REFERENCES projects DEFERRABLE INITIALLY DEFERRED,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    volumes TEXT NOT NULL,
    parent TEXT REFERENCES branches DEFERRABLE INITIALLY DEFERRED,
    fork TEXT REFERENCES snapshots DEFERRABLE INITIALLY DEFERRED,
    sequence INTEGER NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    expires INTEGER,
    protected INTEGER NOT NULL CHECK (protected IN (0, 1)),
    fast INTEGER NOT NULL CHECK (fast IN (0, 1)),
    deleted INTEGER
) WITHOUT ROWID, STRICT;

CREATE TABLE environments (
    project TEXT NOT NULL REFERENCES projects DEFERRABLE INITIALLY DEFERRED,
    name TEXT NOT NULL,
    branch TEXT NOT NULL REFERENCES branches DEFERRABLE INITIALLY DEFERRED,
    -- It may be gone for good.
    previous TEXT,
    PRIMARY KEY (project, name)
) WITHOUT ROWID, STRICT;

-- What was begun and not finished.
CREATE TABLE intents (
    id INTEGER PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    environment TEXT,
    verb TEXT NOT NULL,
    step TEXT NOT NULL,
    detail TEXT NOT NULL,
    command TEXT NOT NULL,
    started INTEGER NOT NULL,
    pid INTEGER NOT NULL
) STRICT;

-- What was taken away, and had back.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    project TEXT NOT NULL,
    sort TEXT NOT NULL CHECK (sort IN ('branch', 'snapshot')),
    record TEXT NOT NULL,
    name TEXT NOT NULL,
    act TEXT NOT NULL CHECK (act IN ('delete', 'undelete', 'remove')),
    why TEXT NOT NULL,
    command TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX branches_by_name ON branches (project, name) WHERE deleted IS NULL;
CREATE UNIQUE INDEX snapshots_by_name ON snapshots (project, name) WHERE deleted IS NULL;
CREATE INDEX branches_by_project ON branches (project);
CREATE INDEX branches_by_parent ON branches (parent);
CREATE INDEX branches_by_fork ON branches (fork);
CREATE INDEX snapshots_by_project ON snapshots (project);
CREATE INDEX environments_by_branch ON environments (branch);
CREATE INDEX audit_by_project ON audit (project);

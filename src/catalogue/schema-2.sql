-- Environments follow git branches: they have an owner, an end and ports of their own, and need no data.

CREATE TABLE environments_2 (
    project TEXT NOT NULL REFERENCES projects DEFERRABLE INITIALLY DEFERRED,
    name TEXT NOT NULL,
    -- These may be gone for good.
    branch TEXT,
    previous TEXT,
    git TEXT,
    worktree TEXT,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    expires INTEGER,
    orphaned INTEGER,
    -- A JSON object: what for, and the port.
    ports TEXT NOT NULL,
    deleted INTEGER,
    PRIMARY KEY (project, name)
) WITHOUT ROWID, STRICT;

INSERT INTO environments_2
SELECT environments.project, environments.name, environments.branch, environments.previous, NULL, NULL, '',
       coalesce(branches.created, 0), coalesce(branches.used, 0), NULL, NULL, '{}', NULL
FROM environments LEFT JOIN branches ON branches.id = environments.branch;

DROP TABLE environments;
ALTER TABLE environments_2 RENAME TO environments;
CREATE INDEX environments_by_branch ON environments (branch);

CREATE TABLE audit_2 (
    id INTEGER PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    project TEXT NOT NULL,
    sort TEXT NOT NULL CHECK (sort IN ('branch', 'snapshot', 'environment')),
    record TEXT NOT NULL,
    name TEXT NOT NULL,
    act TEXT NOT NULL CHECK (act IN ('delete', 'undelete', 'remove')),
    why TEXT NOT NULL,
    command TEXT NOT NULL
) STRICT;

INSERT INTO audit_2 SELECT * FROM audit;
DROP TABLE audit;
ALTER TABLE audit_2 RENAME TO audit;
CREATE INDEX audit_by_project ON audit (project);

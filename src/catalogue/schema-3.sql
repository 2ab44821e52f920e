-- A snapshot may say how its data was masked; that data was copied from elsewhere is written down.

-- A JSON object.
ALTER TABLE snapshots ADD COLUMN attestation TEXT;

CREATE TABLE audit_3 (
    id INTEGER PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    project TEXT NOT NULL,
    sort TEXT NOT NULL CHECK (sort IN ('branch', 'snapshot', 'environment')),
    record TEXT NOT NULL,
    name TEXT NOT NULL,
    act TEXT NOT NULL CHECK (act IN ('delete', 'undelete', 'remove', 'copy')),
    why TEXT NOT NULL,
    command TEXT NOT NULL
) STRICT;

INSERT INTO audit_3 SELECT * FROM audit;
DROP TABLE audit;
ALTER TABLE audit_3 RENAME TO audit;
CREATE INDEX audit_by_project ON audit (project);

-- What depends on what, as addresses (PostgreSQL documentation, 52.18 pg_depend), of what users made.
SELECT d.classid::int8, d.objid::int8, d.objsubid, d.refclassid::int8, d.refobjid::int8, d.refobjsubid
FROM pg_depend d WHERE d.deptype IN ('n', 'a', 'i', 'e') AND d.objid >= 16384 AND d.refobjid >= 16384

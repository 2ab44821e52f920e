-- What a schema may hold that the model has no kind for, in words. $1 as in schema.sql.
WITH
own AS (SELECT n.oid, n.nspname FROM pg_namespace n WHERE NOT n.nspname LIKE ANY ($1::text[])),
found(class, oid, words) AS (
  SELECT 'pg_operator'::regclass, x.oid, 'operator ' || x.oid::regoperator FROM pg_operator x
    JOIN own o ON o.oid = x.oprnamespace
  UNION ALL SELECT 'pg_opclass', x.oid, 'operator class ' || quote_ident(o.nspname) || '.'
    || quote_ident(x.opcname) FROM pg_opclass x JOIN own o ON o.oid = x.opcnamespace
  UNION ALL SELECT 'pg_cast', x.oid, 'cast from ' || format_type(x.castsource, NULL) || ' to '
    || format_type(x.casttarget, NULL) FROM pg_cast x WHERE x.oid >= 16384
  UNION ALL SELECT 'pg_collation', x.oid, 'collation ' || quote_ident(o.nspname) || '.'
    || quote_ident(x.collname) FROM pg_collation x JOIN own o ON o.oid = x.collnamespace
  UNION ALL SELECT 'pg_conversion', x.oid, 'conversion ' || quote_ident(o.nspname) || '.'
    || quote_ident(x.conname) FROM pg_conversion x JOIN own o ON o.oid = x.connamespace
  UNION ALL SELECT 'pg_ts_config', x.oid, 'text search configuration ' || quote_ident(o.nspname) || '.'
    || quote_ident(x.cfgname) FROM pg_ts_config x JOIN own o ON o.oid = x.cfgnamespace
  UNION ALL SELECT 'pg_ts_dict', x.oid, 'text search dictionary ' || quote_ident(o.nspname) || '.'
    || quote_ident(x.dictname) FROM pg_ts_dict x JOIN own o ON o.oid = x.dictnamespace
  UNION ALL SELECT 'pg_class', x.oid, 'foreign table ' || quote_ident(o.nspname) || '.'
    || quote_ident(x.relname) FROM pg_class x JOIN own o ON o.oid = x.relnamespace WHERE x.relkind = 'f'
  UNION ALL SELECT 'pg_foreign_server', x.oid, 'server ' || quote_ident(x.srvname) FROM pg_foreign_server x
  UNION ALL SELECT 'pg_foreign_data_wrapper', x.oid, 'foreign data wrapper ' || quote_ident(x.fdwname)
    FROM pg_foreign_data_wrapper x
  UNION ALL SELECT 'pg_type', x.oid, 'base type ' || format_type(x.oid, NULL) FROM pg_type x
    JOIN own o ON o.oid = x.typnamespace WHERE x.typtype = 'b' AND x.typelem = 0
  UNION ALL SELECT 'pg_language', x.oid, 'language ' || quote_ident(x.lanname) FROM pg_language x
    WHERE x.oid >= 16384
)
SELECT f.words FROM found f WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = f.class
  AND d.objid = f.oid AND d.deptype = 'e')
ORDER BY 1

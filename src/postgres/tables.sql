-- The tables of a database as JSON, one row each (schema/table.rs says what the members mean).
-- $1: the schemas that are left out, as patterns of LIKE.
WITH RECURSIVE
wanted AS MATERIALIZED (
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.reltuples, c.reltoastrelid
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT n.nspname LIKE ANY ($1::text[])
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
      AND d.deptype = 'e')
),
-- Every type of a column, down through arrays and domains. typelem of a fixed-length type is no array of users'.
below AS (
  SELECT DISTINCT a.atttypid AS top, a.atttypid AS here, 0 AS depth FROM wanted w
    JOIN pg_attribute a ON a.attrelid = w.oid
  WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.top, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END, b.depth + 1
  FROM below b JOIN pg_type t ON t.oid = b.here
  WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)
),
shapes AS MATERIALIZED (
  SELECT b.top,
    bool_or(t.typcategory = 'A' AND t.typelem <> 0 AND t.typtype <> 'd') AS is_array,
    bool_or(t.typtype = 'd' AND t.typnotnull) AS not_null,
    max(t.typtypmod) FILTER (WHERE t.typtype = 'd') AS modifier,
    coalesce(jsonb_agg(quote_ident(tn.nspname) || '.' || quote_ident(t.typname)
      ORDER BY b.depth) FILTER (WHERE t.typtype = 'd'), '[]') AS domains,
    coalesce(jsonb_agg(checks.definition ORDER BY b.depth) FILTER (WHERE checks.definition IS NOT NULL),
      '[]') AS checks,
    (array_agg(b.here ORDER BY b.depth DESC))[1] AS base
  FROM below b JOIN pg_type t ON t.oid = b.here JOIN pg_namespace tn ON tn.oid = t.typnamespace
  LEFT JOIN LATERAL (SELECT pg_get_constraintdef(k.oid) AS definition FROM pg_constraint k
    WHERE k.contypid = t.oid AND k.contype = 'c') checks ON t.typtype = 'd'
  GROUP BY b.top
)
SELECT jsonb_build_object(
  'schema', w.nspname, 'name', w.relname, 'partitioned', w.relkind = 'p', 'row_security', w.relrowsecurity,
  'rows', w.reltuples::bigint,
  'bytes', CASE w.relkind WHEN 'p' THEN 0 ELSE pg_relation_size(w.oid) + CASE w.reltoastrelid WHEN 0 THEN 0
    ELSE pg_relation_size(w.reltoastrelid) END END,
  'comment', obj_description(w.oid, 'pg_class'),
  'partition_of', (SELECT jsonb_build_array(pn.nspname, p.relname) FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = w.oid AND p.relkind = 'p'),
  'columns', coalesce((SELECT jsonb_agg(jsonb_build_object(
      'name', a.attname, 'number', a.attnum, 'type', format_type(a.atttypid, a.atttypmod),
      'shape', jsonb_build_object('base', t.typname, 'schema', tn.nspname, 'category', t.typcategory, 'array',
        s.is_array,
        'modifier', CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE coalesce(s.modifier, -1) END,
        'domains', s.domains, 'checks', s.checks,
        'labels', CASE t.typtype WHEN 'e' THEN (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder)
          FROM pg_enum e WHERE e.enumtypid = t.oid) ELSE '[]' END),
      'not_null', a.attnotnull OR s.not_null,
      'default', CASE a.attgenerated WHEN '' THEN pg_get_expr(d.adbin, d.adrelid) END,
      'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
      'identity', nullif(a.attidentity, ''),
      'comment', col_description(w.oid, a.attnum),
      'collation', CASE WHEN a.attcollation <> tt.typcollation THEN (SELECT quote_ident(cn.nspname) || '.'
        || quote_ident(co.collname)
        FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
          WHERE co.oid = a.attcollation) END
    ) ORDER BY a.attnum)
    FROM pg_attribute a JOIN shapes s ON s.top = a.atttypid JOIN pg_type tt ON tt.oid = a.atttypid
    JOIN pg_type t ON t.oid = s.base JOIN pg_namespace tn ON tn.oid = t.typnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
  'constraints', coalesce((SELECT jsonb_agg(jsonb_build_object(
      'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'validated', k.convalidated, 'deferrable',
        k.condeferrable,
      'kind', CASE k.contype WHEN 'p' THEN 'primary-key' WHEN 'u' THEN 'unique' WHEN 'c' THEN 'check' WHEN 'f'
        THEN 'foreign-key'
        WHEN 'x' THEN 'exclusion' ELSE 'trigger' END,
      'columns', coalesce((SELECT jsonb_agg(a.attname ORDER BY o.n)
        FROM unnest(k.conkey) WITH ORDINALITY o(number, n)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.number), '[]'),
      'references', CASE k.contype WHEN 'f' THEN (SELECT jsonb_build_object('schema', fn.nspname, 'table',
        f.relname,
        'columns', (SELECT jsonb_agg(a.attname ORDER BY o.n) FROM unnest(k.confkey) WITH ORDINALITY o(number,
          n)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.number),
        'on_delete', k.confdeltype, 'on_update', k.confupdtype, 'full', k.confmatchtype = 'f')
        FROM pg_class f JOIN pg_namespace fn ON fn.oid = f.relnamespace WHERE f.oid = k.confrelid) END
    ) ORDER BY k.conname)
    FROM pg_constraint k WHERE k.conrelid = w.oid AND k.contype <> 'n'), '[]'),
  'indexes', coalesce((SELECT jsonb_agg(jsonb_build_object(
      'name', ic.relname, 'unique', i.indisunique, 'definition', pg_get_indexdef(i.indexrelid),
      'nulls_equal', pg_get_indexdef(i.indexrelid) LIKE '%NULLS NOT DISTINCT%',
      'predicate', pg_get_expr(i.indpred, i.indrelid),
      'columns', (SELECT jsonb_agg(a.attname ORDER BY o.n)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY o(number, n)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.number AND o.number <> 0
          WHERE o.n <= i.indnkeyatts),
      'expressions', coalesce((SELECT jsonb_agg(pg_get_indexdef(i.indexrelid, o.n::int, true) ORDER BY o.n)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY o(number, n) WHERE o.number = 0
          AND o.n <= i.indnkeyatts), '[]'),
      'of_constraint', EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid
        AND k.contype IN ('p', 'u', 'x'))
    ) ORDER BY ic.relname)
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = w.oid AND i.indisvalid),
      '[]'),
  'triggers', coalesce((SELECT jsonb_agg(g.tgname ORDER BY g.tgname) FROM pg_trigger g
    WHERE g.tgrelid = w.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'), '[]')
)::text
FROM wanted w ORDER BY w.nspname, w.relname

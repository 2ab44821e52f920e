-- The objects of a database's schema as JSON, one row each (schema/model.rs says what they are).
-- $1: the schemas that are left out, as patterns of LIKE. $2: schemas among these whose policies users write.
--
-- `properties` holds text only. Besides owner, comment and grants (added at the end, for all kinds alike):
--   enum: labels · composite: attributes · domain: type collation default not_null · domain-check, constraint, index,
--   statistics, trigger, rule: definition · range: definition · sequence: type start increment min max cache cycle
--   unlogged · sequence-owner: column · table: unlogged partition_by partition_of bound row_security
--   force_row_security replica_identity options inherits of_type · column: type collation not_null identity sequence
--   sequence_name generated virtual storage compression statistics options · default: expression · view, materialized-view:
--   definition options columns unpopulated · function, aggregate: definition arguments result procedure · policy:
--   command restrictive roles using check · event-trigger: event function tags · publication: all_tables operations
--   via_root · publication-table: columns where · trigger, rule, event-trigger: enabled, where it is not `O`.
WITH
own AS MATERIALIZED (
  SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace n WHERE NOT n.nspname LIKE ANY ($1::text[])
),
member AS MATERIALIZED (SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'),
rel AS MATERIALIZED (
  SELECT c.oid, o.nspname, c.relname, c.relkind, c.relowner, c.relacl, c.reltype, c.relpersistence,
    c.reloptions,
    c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relpartbound,
      c.relispopulated,
    c.reloftype, c.relnamespace,
    (SELECT t.typarray FROM pg_type t WHERE t.oid = c.reltype) AS array_type
  FROM pg_class c JOIN own o ON o.oid = c.relnamespace
  WHERE c.relpersistence <> 't' AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass
    AND m.objid = c.oid)
),
-- What makes identity columns and what does not, with the column that it ends with.
sequence AS MATERIALIZED (
  SELECT r.oid, d.deptype, d.refobjid, d.refobjsubid FROM rel r
  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.objsubid = 0
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  WHERE r.relkind = 'S'
),
typ AS MATERIALIZED (
  SELECT t.oid, o.nspname, t.typname, t.typtype, t.typowner, t.typacl, t.typarray, t.typrelid, t.typbasetype,
    t.typtypmod, t.typnotnull, t.typcollation, t.typdefault, t.typdefaultbin
  FROM pg_type t JOIN own o ON o.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd', 'r', 'c') AND NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
),
proc AS MATERIALIZED (
  SELECT p.oid, o.nspname, p.proname, p.prokind, p.proowner, p.proacl,
    coalesce((SELECT string_agg(format_type(a.type, NULL), ', ' ORDER BY a.n)
      FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a(type, n)), '') AS types
  FROM pg_proc p JOIN own o ON o.oid = p.pronamespace
  WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
    -- What a range type, or its multirange, made.
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
      AND d.deptype = 'i')
),
found(kind, nsp, name, part, ord, class, oid, sub, owner, acl, acl_kind, also, needs, properties) AS (
  SELECT 'schema', '', o.nspname::text, '', 0, 'pg_namespace'::regclass, o.oid, 0, o.nspowner, o.nspacl,
    'n'::"char", '[]'::jsonb, '[]'::jsonb,
    jsonb_build_object('comment', obj_description(o.oid, 'pg_namespace'))
  FROM own o WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_namespace'::regclass
    AND m.objid = o.oid)
UNION ALL
  SELECT 'extension', '', e.extname, '', 0, 'pg_extension'::regclass, e.oid, 0, NULL, NULL, NULL, '[]',
    CASE WHEN o.oid IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_array('schema', '', n.nspname,
      '')) END,
    jsonb_build_object('schema', n.nspname)
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace LEFT JOIN own o ON o.oid = n.oid
    WHERE e.extname <> 'plpgsql'
UNION ALL
  SELECT 'enum', t.nspname, t.typname, '', 0, 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl, 'T',
    jsonb_build_array(jsonb_build_array(1247, t.typarray::int8, 0)), '[]',
    jsonb_build_object('labels', (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e
      WHERE e.enumtypid = t.oid)::text,
      'comment', obj_description(t.oid, 'pg_type'))
  FROM typ t WHERE t.typtype = 'e'
UNION ALL
  SELECT 'composite', t.nspname, t.typname, '', 0, 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl, 'T',
    jsonb_build_array(jsonb_build_array(1247, t.typarray::int8, 0), jsonb_build_array(1259, t.typrelid::int8,
      0)), '[]',
    jsonb_build_object('attributes', coalesce((SELECT jsonb_agg(jsonb_build_array(a.attname,
      format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> at.typcollation THEN (SELECT quote_ident(cn.nspname) || '.'
          || quote_ident(co.collname)
          FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
            WHERE co.oid = a.attcollation) END) ORDER BY a.attnum)
      FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid WHERE a.attrelid = t.typrelid
        AND a.attnum > 0 AND NOT a.attisdropped), '[]')::text,
      'comment', obj_description(t.oid, 'pg_type'))
  FROM typ t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' WHERE t.typtype = 'c'
UNION ALL
  SELECT 'domain', t.nspname, t.typname, '', 0, 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl, 'T',
    jsonb_build_array(jsonb_build_array(1247, t.typarray::int8, 0)), '[]',
    jsonb_build_object('type', format_type(t.typbasetype, t.typtypmod), 'not_null', CASE WHEN t.typnotnull
      THEN 'true' END,
      'default', CASE WHEN t.typdefaultbin IS NULL THEN t.typdefault ELSE pg_get_expr(t.typdefaultbin, 0) END,
      'collation', CASE WHEN t.typcollation <> b.typcollation THEN (SELECT quote_ident(cn.nspname) || '.'
        || quote_ident(co.collname)
          FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
            WHERE co.oid = t.typcollation) END,
      'comment', obj_description(t.oid, 'pg_type'))
  FROM typ t JOIN pg_type b ON b.oid = t.typbasetype WHERE t.typtype = 'd'
UNION ALL
  SELECT 'domain-check', t.nspname, t.typname, k.conname, 0, 'pg_constraint'::regclass, k.oid, 0, NULL, NULL,
    NULL, '[]',
    jsonb_build_array(jsonb_build_array('domain', t.nspname, t.typname, '')),
    jsonb_build_object('definition', pg_get_constraintdef(k.oid), 'comment', obj_description(k.oid,
      'pg_constraint'))
  FROM pg_constraint k JOIN typ t ON t.oid = k.contypid WHERE k.contype = 'c'
UNION ALL
  SELECT 'range', t.nspname, t.typname, '', 0, 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl, 'T',
    jsonb_build_array(jsonb_build_array(1247, t.typarray::int8, 0), jsonb_build_array(1247,
      r.rngmultitypid::int8, 0), jsonb_build_array(1247, mt.typarray::int8, 0)), '[]',
    jsonb_build_object('definition', concat_ws(', ', 'SUBTYPE = ' || format_type(r.rngsubtype, NULL),
      'SUBTYPE_OPCLASS = ' || (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.opcname)
        FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace
        WHERE c.oid = r.rngsubopc AND NOT c.opcdefault),
      'COLLATION = ' || (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname) FROM pg_collation c
        JOIN pg_namespace n ON n.oid = c.collnamespace
        JOIN pg_type s ON s.oid = r.rngsubtype WHERE c.oid = r.rngcollation AND c.oid <> s.typcollation),
      'SUBTYPE_DIFF = ' || nullif(r.rngsubdiff::oid, 0)::regproc::text,
      'MULTIRANGE_TYPE_NAME = ' || quote_ident(mn.nspname) || '.' || quote_ident(mt.typname)),
      'comment', obj_description(t.oid, 'pg_type'))
  FROM typ t JOIN pg_range r ON r.rngtypid = t.oid JOIN pg_type mt ON mt.oid = r.rngmultitypid
    JOIN pg_namespace mn ON mn.oid = mt.typnamespace
UNION ALL
  SELECT 'sequence', r.nspname, r.relname, '', 0, 'pg_class'::regclass, r.oid, 0, r.relowner, r.relacl, 's',
    jsonb_build_array(jsonb_build_array(1247, r.reltype::int8, 0)), '[]',
    jsonb_build_object('type', format_type(q.seqtypid, NULL), 'start', q.seqstart::text, 'increment',
      q.seqincrement::text, 'min', q.seqmin::text,
      'max', q.seqmax::text, 'cache', q.seqcache::text, 'cycle', CASE WHEN q.seqcycle THEN 'true' END,
      'unlogged', CASE r.relpersistence WHEN 'u' THEN 'true' END, 'comment', obj_description(r.oid,
        'pg_class'))
  FROM rel r JOIN sequence s ON s.oid = r.oid JOIN pg_sequence q ON q.seqrelid = r.oid
    WHERE s.deptype IS DISTINCT FROM 'i'
UNION ALL
  SELECT 'sequence-owner', r.nspname, r.relname, '', 0, 0::regclass, 0, 0, NULL, NULL, NULL, '[]',
    jsonb_build_array(jsonb_build_array('sequence', r.nspname, r.relname, ''), jsonb_build_array('column',
      tn.nspname, t.relname, a.attname),
      jsonb_build_array('table', tn.nspname, t.relname, '')),
    jsonb_build_object('column', quote_ident(tn.nspname) || '.' || quote_ident(t.relname) || '.'
      || quote_ident(a.attname))
  FROM rel r JOIN sequence s ON s.oid = r.oid JOIN pg_class t ON t.oid = s.refobjid
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = s.refobjsubid WHERE s.deptype = 'a'
UNION ALL
  SELECT 'table', r.nspname, r.relname, '', 0, 'pg_class'::regclass, r.oid, 0, r.relowner, r.relacl, 'r',
    jsonb_build_array(jsonb_build_array(1247, r.reltype::int8, 0), jsonb_build_array(1247, r.array_type::int8,
      0)), '[]',
    jsonb_build_object('unlogged', CASE r.relpersistence WHEN 'u' THEN 'true' END,
      'partition_by', CASE r.relkind WHEN 'p' THEN pg_get_partkeydef(r.oid) END,
      'partition_of', CASE WHEN r.relispartition THEN above.names END,
      'bound', CASE WHEN r.relispartition THEN pg_get_expr(r.relpartbound, r.oid) END,
      'inherits', CASE WHEN NOT r.relispartition THEN above.names END,
      'of_type', CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
      'row_security', CASE WHEN r.relrowsecurity THEN 'true' END, 'force_row_security',
        CASE WHEN r.relforcerowsecurity THEN 'true' END,
      'replica_identity', CASE r.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' END,
      'options', array_to_string(r.reloptions, ', '), 'comment', obj_description(r.oid, 'pg_class'))
  FROM rel r LEFT JOIN LATERAL (SELECT string_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    ', ' ORDER BY i.inhseqno) AS names
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE i.inhrelid = r.oid) above ON true
  WHERE r.relkind IN ('r', 'p')
UNION ALL
  SELECT 'column', r.nspname, r.relname, a.attname, a.attnum, 'pg_class'::regclass, r.oid, a.attnum, NULL,
    a.attacl, NULL,
    jsonb_build_array(CASE WHEN a.attgenerated <> '' THEN jsonb_build_array(2604, d.oid::int8, 0) END,
      CASE WHEN q.oid IS NOT NULL THEN jsonb_build_array(1259, q.oid::int8, 0) END),
    jsonb_build_array(jsonb_build_array('table', r.nspname, r.relname, '')),
    jsonb_build_object('type', format_type(a.atttypid, a.atttypmod), 'not_null', CASE WHEN a.attnotnull
      THEN 'true' END,
      'collation', CASE WHEN a.attcollation <> t.typcollation THEN (SELECT quote_ident(cn.nspname) || '.'
        || quote_ident(co.collname)
          FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
            WHERE co.oid = a.attcollation) END,
      'identity', nullif(a.attidentity, ''), 'sequence', q.options, 'sequence_name', q.called,
      'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END, 'virtual',
        CASE a.attgenerated WHEN 'v' THEN 'true' END,
      'storage', CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e'
        THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
      'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
      'statistics', nullif(nullif(a.attstattarget, -1), 0)::text, 
      -- PostgreSQL's own options, no others that a server may write there.
      'options', (SELECT string_agg(o, ', ') FROM unnest(a.attoptions) o WHERE o LIKE 'n\_distinct%'),
      'comment', col_description(r.oid, a.attnum))
  FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attinhcount = 0
  JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
  LEFT JOIN LATERAL (SELECT s.oid, concat_ws(' ', 'START WITH ' || p.seqstart, 'INCREMENT BY '
    || p.seqincrement, 'MINVALUE ' || p.seqmin, 'MAXVALUE ' || p.seqmax, 'CACHE ' || p.seqcache,
      CASE WHEN p.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS options,
      CASE WHEN sn.nspname <> r.nspname OR sc.relname <> r.relname || '_' || a.attname || '_seq'
        THEN quote_ident(sn.nspname) || '.' || quote_ident(sc.relname) END AS called
    FROM sequence s JOIN pg_sequence p ON p.seqrelid = s.oid JOIN pg_class sc ON sc.oid = s.oid
      JOIN pg_namespace sn ON sn.oid = sc.relnamespace
    WHERE s.deptype = 'i' AND s.refobjid = r.oid AND s.refobjsubid = a.attnum) q ON true
  WHERE r.relkind IN ('r', 'p')
UNION ALL
  SELECT 'default', r.nspname, r.relname, a.attname, 0, 'pg_attrdef'::regclass, d.oid, 0, NULL, NULL, NULL,
    '[]',
    jsonb_build_array(CASE r.relkind WHEN 'v' THEN jsonb_build_array('view', r.nspname, r.relname, '')
      ELSE jsonb_build_array('column', r.nspname, r.relname, a.attname) END),
    jsonb_build_object('expression', pg_get_expr(d.adbin, d.adrelid))
  FROM rel r JOIN pg_attrdef d ON d.adrelid = r.oid JOIN pg_attribute a ON a.attrelid = r.oid
    AND a.attnum = d.adnum
  WHERE a.attgenerated = '' AND a.attinhcount = 0 AND r.relkind IN ('r', 'p', 'v')
UNION ALL
  SELECT 'constraint', r.nspname, r.relname, k.conname, array_position('{p,u,x,c,f}'::"char"[], k.contype),
    'pg_constraint'::regclass, k.oid, 0, NULL, NULL, NULL,
    CASE WHEN k.contype IN ('p', 'u', 'x') THEN jsonb_build_array(jsonb_build_array(1259, k.conindid::int8,
      0)) ELSE '[]' END,
    jsonb_build_array(jsonb_build_array('table', r.nspname, r.relname, '')),
    jsonb_build_object('definition', pg_get_constraintdef(k.oid), 'foreign', CASE k.contype WHEN 'f'
      THEN 'true' END,
      'index', CASE WHEN k.contype IN ('p', 'u', 'x') THEN 'true' END,
      'identifies', CASE WHEN r.relreplident = 'i' AND EXISTS (SELECT FROM pg_index x
        WHERE x.indexrelid = k.conindid AND x.indisreplident) THEN 'true' END,
      'comment', obj_description(k.oid, 'pg_constraint'))
  FROM pg_constraint k JOIN rel r ON r.oid = k.conrelid
  WHERE k.contype IN ('p', 'u', 'x', 'c', 'f') AND k.conparentid = 0 AND (k.conislocal OR k.coninhcount = 0)
UNION ALL
  SELECT 'index', i.nspname, i.relname, '', 0, 'pg_class'::regclass, i.oid, 0, NULL, NULL, NULL, '[]',
    jsonb_build_array(jsonb_build_array(CASE t.relkind WHEN 'm' THEN 'materialized-view' ELSE 'table' END,
      t.nspname, t.relname, '')),
    jsonb_build_object('definition', CASE i.relkind WHEN 'I' THEN regexp_replace(pg_get_indexdef(i.oid),
      ' ON ONLY ', ' ON ') ELSE pg_get_indexdef(i.oid) END,
      'table', quote_ident(t.nspname) || '.' || quote_ident(t.relname), 'invalid', CASE WHEN NOT x.indisvalid
        THEN 'true' END,
      'identifies', CASE WHEN t.relreplident = 'i' AND x.indisreplident THEN 'true' END,
      'comment', obj_description(i.oid, 'pg_class'))
  FROM rel i JOIN pg_index x ON x.indexrelid = i.oid JOIN rel t ON t.oid = x.indrelid
  WHERE i.relkind IN ('i', 'I') AND NOT i.relispartition
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
  SELECT 'statistics', o.nspname, s.stxname, '', 0, 'pg_statistic_ext'::regclass, s.oid, 0, s.stxowner, NULL,
    NULL, '[]',
    jsonb_build_array(jsonb_build_array('table', t.nspname, t.relname, '')),
    -- Its columns by name: PostgreSQL tells them as they stand in the table, whose order is not compared.
    jsonb_build_object('definition', split_part(pg_get_statisticsobjdef(s.oid), ' ON ', 1) || ' ON '
      || concat_ws(', ',
        (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) FROM pg_attribute a
          WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])),
        (SELECT string_agg('(' || e || ')', ', ' ORDER BY e)
          FROM unnest(pg_get_statisticsobjdef_expressions(s.oid)) e))
        || ' FROM ' || quote_ident(t.nspname) || '.' || quote_ident(t.relname), 'table',
          quote_ident(t.nspname) || '.' || quote_ident(t.relname),
      'comment', obj_description(s.oid, 'pg_statistic_ext'))
  FROM pg_statistic_ext s JOIN own o ON o.oid = s.stxnamespace JOIN rel t ON t.oid = s.stxrelid
UNION ALL
  SELECT CASE r.relkind WHEN 'v' THEN 'view' ELSE 'materialized-view' END, r.nspname, r.relname, '', 0,
    'pg_class'::regclass, r.oid, 0, r.relowner, r.relacl, 'r',
    jsonb_build_array(jsonb_build_array(1247, r.reltype::int8, 0), jsonb_build_array(1247, r.array_type::int8,
      0), jsonb_build_array(2618, w.oid::int8, 0)), '[]',
    jsonb_build_object('definition', pg_get_viewdef(r.oid), 'options', array_to_string(r.reloptions, ', '),
      'unpopulated', CASE WHEN NOT r.relispopulated THEN 'true' END,
      'columns', (SELECT jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod))
        ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped)::text,
      'comment', obj_description(r.oid, 'pg_class'))
  FROM rel r JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename = '_RETURN' WHERE r.relkind IN ('v', 'm')
UNION ALL
  SELECT 'view-column', r.nspname, r.relname, a.attname, a.attnum, 0::regclass, 0, 0, NULL, a.attacl, NULL,
    '[]',
    jsonb_build_array(jsonb_build_array(CASE r.relkind WHEN 'v' THEN 'view' ELSE 'materialized-view' END,
      r.nspname, r.relname, '')),
    jsonb_build_object('comment', col_description(r.oid, a.attnum))
  FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE r.relkind IN ('v', 'm') AND (a.attacl IS NOT NULL OR col_description(r.oid, a.attnum) IS NOT NULL)
UNION ALL
  SELECT 'function', p.nspname, p.proname, p.types, 0, 'pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl,
    'f', '[]', '[]',
    jsonb_build_object('definition', pg_get_functiondef(p.oid), 'arguments', pg_get_function_arguments(p.oid),
      'result', pg_get_function_result(p.oid),
      'procedure', CASE p.prokind WHEN 'p' THEN 'true' END, 'comment', obj_description(p.oid, 'pg_proc'))
  FROM proc p WHERE p.prokind <> 'a'
UNION ALL
  SELECT 'aggregate', p.nspname, p.proname, p.types, 0, 'pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl,
    'f', '[]', '[]',
    jsonb_build_object('arguments', pg_get_function_arguments(p.oid), 'definition', concat_ws(', ', 'SFUNC = '
      || g.aggtransfn::regproc, 'STYPE = ' || format_type(g.aggtranstype, NULL),
      'SSPACE = ' || nullif(g.aggtransspace, 0), 'FINALFUNC = ' || nullif(g.aggfinalfn::oid, 0)::regproc,
        CASE WHEN g.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
      'FINALFUNC_MODIFY = ' || CASE WHEN g.aggfinalfn::oid <> 0 THEN CASE g.aggfinalmodify WHEN 'r'
        THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END,
      'COMBINEFUNC = ' || nullif(g.aggcombinefn::oid, 0)::regproc, 'SERIALFUNC = '
        || nullif(g.aggserialfn::oid, 0)::regproc,
      'DESERIALFUNC = ' || nullif(g.aggdeserialfn::oid, 0)::regproc, 'INITCOND = '
        || quote_literal(g.agginitval), 'MSFUNC = ' || nullif(g.aggmtransfn::oid, 0)::regproc,
      'MINVFUNC = ' || nullif(g.aggminvtransfn::oid, 0)::regproc, 'MSTYPE = ' ||
        CASE WHEN g.aggmtranstype <> 0 THEN format_type(g.aggmtranstype, NULL) END,
      'MFINALFUNC = ' || nullif(g.aggmfinalfn::oid, 0)::regproc, 'MINITCOND = '
        || quote_literal(g.aggminitval),
      'PARALLEL = ' || (SELECT CASE f.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' END
        FROM pg_proc f WHERE f.oid = p.oid)),
      'comment', obj_description(p.oid, 'pg_proc'))
  FROM proc p JOIN pg_aggregate g ON g.aggfnoid = p.oid WHERE p.prokind = 'a'
UNION ALL
  SELECT 'rule', r.nspname, r.relname, w.rulename, 0, 'pg_rewrite'::regclass, w.oid, 0, NULL, NULL, NULL,
    '[]',
    jsonb_build_array(jsonb_build_array(CASE r.relkind WHEN 'v' THEN 'view' ELSE 'table' END, r.nspname,
      r.relname, '')),
    jsonb_build_object('definition', pg_get_ruledef(w.oid), 'enabled', nullif(w.ev_enabled, 'O'), 'comment',
      obj_description(w.oid, 'pg_rewrite'))
  FROM pg_rewrite w JOIN rel r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
UNION ALL
  SELECT 'trigger', n.nspname, c.relname, g.tgname, 0, 'pg_trigger'::regclass, g.oid, 0, NULL, NULL, NULL,
    CASE WHEN g.tgconstraint <> 0 THEN jsonb_build_array(jsonb_build_array(2606, g.tgconstraint::int8, 0))
      ELSE '[]' END,
    CASE WHEN r.oid IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_array(CASE r.relkind WHEN 'v'
      THEN 'view' ELSE 'table' END, r.nspname, r.relname, '')) END,
    jsonb_build_object('definition', pg_get_triggerdef(g.oid), 'enabled', nullif(g.tgenabled, 'O'), 'comment',
      obj_description(g.oid, 'pg_trigger'))
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT
    JOIN rel r ON r.oid = c.oid
  WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND (r.oid IS NOT NULL OR EXISTS (SELECT FROM proc p
    WHERE p.oid = g.tgfoid))
UNION ALL
  SELECT 'policy', n.nspname, c.relname, y.polname, 0, 'pg_policy'::regclass, y.oid, 0, NULL, NULL, NULL,
    '[]',
    CASE WHEN r.oid IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_array('table', r.nspname, r.relname,
      '')) END,
    jsonb_build_object('command', CASE y.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w'
      THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
      'restrictive', CASE WHEN NOT y.polpermissive THEN 'true' END,
      'roles', (SELECT string_agg(CASE WHEN u.oid = 0 THEN 'PUBLIC' ELSE quote_ident(a.rolname) END, ', '
        ORDER BY a.rolname) FROM unnest(y.polroles) u(oid) LEFT JOIN pg_roles a ON a.oid = u.oid),
      'using', pg_get_expr(y.polqual, y.polrelid), 'check', pg_get_expr(y.polwithcheck, y.polrelid),
        'comment', obj_description(y.oid, 'pg_policy'))
  FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT
    JOIN rel r ON r.oid = c.oid
  WHERE r.oid IS NOT NULL OR n.nspname = ANY ($2::text[])
UNION ALL
  SELECT 'event-trigger', '', v.evtname, '', 0, 'pg_event_trigger'::regclass, v.oid, 0, v.evtowner, NULL,
    NULL, '[]', '[]',
    jsonb_build_object('event', v.evtevent, 'function', quote_ident(p.nspname) || '.'
      || quote_ident(p.proname),
      'tags', (SELECT string_agg(quote_literal(t), ', ') FROM unnest(v.evttags) t), 'enabled',
        nullif(v.evtenabled, 'O'),
      'comment', obj_description(v.oid, 'pg_event_trigger'))
  FROM pg_event_trigger v JOIN proc p ON p.oid = v.evtfoid
UNION ALL
  SELECT 'publication', '', b.pubname, '', 0, 'pg_publication'::regclass, b.oid, 0, b.pubowner, NULL, NULL,
    '[]', '[]',
    jsonb_build_object('all_tables', CASE WHEN b.puballtables THEN 'true' END, 'via_root',
      CASE WHEN b.pubviaroot THEN 'true' END,
      'operations', concat_ws(', ', CASE WHEN b.pubinsert THEN 'insert' END, CASE WHEN b.pubupdate
        THEN 'update' END, CASE WHEN b.pubdelete THEN 'delete' END,
        CASE WHEN b.pubtruncate THEN 'truncate' END), 'comment', obj_description(b.oid, 'pg_publication'))
  FROM pg_publication b WHERE b.pubname NOT LIKE 'supabase\_realtime\_messages\_publication%'
UNION ALL
  SELECT 'publication-table', r.nspname, r.relname, b.pubname, 0, 'pg_publication_rel'::regclass, x.oid, 0,
    NULL, NULL, NULL, '[]',
    jsonb_build_array(jsonb_build_array('table', r.nspname, r.relname, ''), jsonb_build_array('publication',
      '', b.pubname, '')),
    jsonb_build_object('where', pg_get_expr(x.prqual, x.prrelid), 'columns',
      (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname)
      FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = ANY (x.prattrs::int2[])))
  FROM pg_publication_rel x JOIN pg_publication b ON b.oid = x.prpubid JOIN rel r ON r.oid = x.prrelid
UNION ALL
  SELECT 'publication-schema', '', o.nspname, b.pubname, 0, 'pg_publication_namespace'::regclass, x.oid, 0,
    NULL, NULL, NULL, '[]',
    jsonb_build_array(jsonb_build_array('schema', '', o.nspname, ''), jsonb_build_array('publication', '',
      b.pubname, '')), '{}'
  FROM pg_publication_namespace x JOIN pg_publication b ON b.oid = x.pnpubid JOIN own o ON o.oid = x.pnnspid
UNION ALL
  SELECT 'default-privileges', coalesce(o.nspname, ''), pg_get_userbyid(x.defaclrole),
    CASE x.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T'
      THEN 'TYPES' ELSE 'SCHEMAS' END, 0,
    'pg_default_acl'::regclass, x.oid, 0, NULL, x.defaclacl, NULL, '[]',
    CASE WHEN o.oid IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_array('schema', '', o.nspname,
      '')) END, '{}'
  FROM pg_default_acl x LEFT JOIN own o ON o.oid = x.defaclnamespace
  WHERE (o.oid IS NOT NULL OR x.defaclnamespace = 0) AND x.defaclobjtype IN ('r', 'S', 'f', 'T', 'n')
)
SELECT f.class::oid::int8 AS class, f.oid::int8, f.sub::int4, jsonb_build_object(
    'id', jsonb_build_object('kind', f.kind, 'schema', f.nsp, 'name', f.name, 'part', f.part), 'order', f.ord,
      'also', f.also, 'needs', f.needs,
    'properties', jsonb_strip_nulls(f.properties) || coalesce(jsonb_build_object('owner',
      pg_get_userbyid(f.owner)) - CASE WHEN f.owner IS NULL THEN 'owner' ELSE '' END, '{}')
      || coalesce(g.grants, '{}')
  )::text
FROM found f LEFT JOIN LATERAL (
  SELECT jsonb_object_agg('grant ' || role, privileges) AS grants FROM (
    SELECT role, string_agg(privilege, ' ' ORDER BY privilege) AS privileges FROM (
      SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee) END AS role,
        e.privilege_type || CASE WHEN bool_or(e.is_grantable) THEN '*' ELSE '' END AS privilege
      FROM aclexplode(CASE WHEN f.acl IS NULL AND f.acl_kind IS NOT NULL THEN acldefault(f.acl_kind, f.owner)
        ELSE f.acl END) e
      GROUP BY e.grantee, e.privilege_type) each GROUP BY role) roles
) g ON true

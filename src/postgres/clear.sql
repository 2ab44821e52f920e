-- Leaves of a database what the server's image makes of a new one, as `supabase db reset --linked` does (supabase/cli,
-- pkg/migration/queries/drop.sql): what Supabase keeps for itself stays, without the users' rows in it.
SET search_path = '';
DO $clear$
DECLARE
  it record;
  kept constant text[] := ARRAY['pg\_%', 'information\_schema', '\_analytics', '\_realtime', '\_supavisor',
    'auth', 'cron', 'etl', 'extensions',
    'graphql', 'graphql\_public', 'net', 'pgbouncer', 'pgmq', 'pgsodium', 'pgsodium\_masks', 'pgtle',
      'realtime', 'repack', 'storage',
    'supabase\_functions', 'supabase\_migrations', 'tiger', 'tiger\_data', 'timescaledb\_%',
      '\_timescaledb\_%', 'topology', 'vault', 'public'];
BEGIN
  PERFORM pg_catalog.set_config('session_replication_role', 'replica', true) FROM pg_catalog.pg_roles
    WHERE rolname = current_user AND rolsuper;
  FOR it IN SELECT v.evtname FROM pg_catalog.pg_event_trigger v JOIN pg_catalog.pg_proc p ON p.oid = v.evtfoid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
      OR NOT n.nspname LIKE ANY (kept)
  LOOP EXECUTE pg_catalog.format('DROP EVENT TRIGGER IF EXISTS %I', it.evtname); END LOOP;
  FOR it IN SELECT n.nspname, c.relname, g.tgname FROM pg_catalog.pg_trigger g
    JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
    JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
    WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND n.nspname <> 'public' AND n.nspname LIKE ANY (kept)
      AND (pn.nspname = 'public' OR NOT pn.nspname LIKE ANY (kept))
  LOOP EXECUTE pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %I.%I', it.tgname, it.nspname,
    it.relname); END LOOP;
  FOR it IN SELECT n.nspname, c.relname, y.polname FROM pg_catalog.pg_policy y
    JOIN pg_catalog.pg_class c ON c.oid = y.polrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('storage', 'realtime')
  LOOP EXECUTE pg_catalog.format('DROP POLICY IF EXISTS %I ON %I.%I', it.polname, it.nspname,
    it.relname); END LOOP;
  FOR it IN SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE NOT n.nspname LIKE ANY (kept)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid
      AND d.deptype = 'e')
  LOOP EXECUTE pg_catalog.format('DROP SCHEMA IF EXISTS %I CASCADE', it.nspname); END LOOP;
  -- What stands in public: its own objects only, since the schema has its owner and its grants from the image.
  FOR it IN SELECT e.extname FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname = 'public'
  LOOP EXECUTE pg_catalog.format('DROP EXTENSION IF EXISTS %I CASCADE', it.extname); END LOOP;
  LOOP
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S'
      THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
      WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS what, c.relname INTO it
    FROM pg_catalog.pg_class c WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind IN ('r',
      'p', 'v', 'm', 'S', 'f', 'c')
      -- A sequence that makes an identity column goes with it.
      AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'i'))
      LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE pg_catalog.format('DROP %s IF EXISTS public.%I CASCADE', it.what, it.relname);
  END LOOP;
  LOOP
    SELECT p.oid::pg_catalog.regprocedure AS called INTO it FROM pg_catalog.pg_proc p
      WHERE p.pronamespace = 'public'::pg_catalog.regnamespace
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
        AND d.deptype = 'i') LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE pg_catalog.format('DROP ROUTINE IF EXISTS %s CASCADE', it.called);
  END LOOP;
  LOOP
    SELECT t.typname INTO it FROM pg_catalog.pg_type t
      WHERE t.typnamespace = 'public'::pg_catalog.regnamespace AND t.typtype IN ('e', 'd', 'r', 'c', 'b')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) LIMIT 1;
    EXIT WHEN NOT FOUND;
    EXECUTE pg_catalog.format('DROP TYPE IF EXISTS public.%I CASCADE', it.typname);
  END LOOP;
  FOR it IN SELECT p.pubname FROM pg_catalog.pg_publication p WHERE p.pubname NOT LIKE 'supabase\_realtime%'
  LOOP EXECUTE pg_catalog.format('DROP PUBLICATION IF EXISTS %I', it.pubname); END LOOP;
  FOR it IN SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND ((n.nspname = 'auth' AND c.relname = 'users') OR (n.nspname = 'storage'
      AND c.relname = 'buckets'))
  LOOP EXECUTE pg_catalog.format('TRUNCATE %I.%I CASCADE', it.nspname, it.relname); END LOOP;
  IF pg_catalog.to_regclass('supabase_migrations.schema_migrations') IS NOT NULL THEN
    DELETE FROM supabase_migrations.schema_migrations;
  END IF;
END
$clear$;
RESET search_path;

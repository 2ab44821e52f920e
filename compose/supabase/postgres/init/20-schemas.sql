alter database postgres owner to postgres;
alter schema public owner to postgres;
alter database postgres set "app.settings.jwt_secret" to :'jwt_secret';
alter database postgres set "app.settings.jwt_exp" to :'jwt_exp';

create schema extensions authorization postgres;
create schema auth authorization supabase_admin;
create schema storage authorization supabase_admin;
create schema realtime authorization supabase_admin;
create schema _realtime authorization supabase_admin;
create schema graphql authorization supabase_admin;
create schema graphql_public authorization supabase_admin;
create schema vault authorization supabase_admin;

create extension "uuid-ossp" schema extensions;
create extension pgcrypto schema extensions;
create extension pg_stat_statements schema extensions;
create extension pg_cron;

grant usage on schema public, extensions, auth, storage, realtime, graphql_public to postgres, anon, authenticated, service_role;
grant all on schema public to postgres;
grant all on schema auth to supabase_auth_admin, postgres, dashboard_user;
grant all on schema storage to supabase_storage_admin, postgres, dashboard_user;
grant usage on schema extensions, realtime to dashboard_user;
grant usage on schema cron to postgres;
grant all on all tables in schema cron to postgres;

-- Whatever a migration creates in `public` is reachable through the data API (row level security is what guards it).
alter default privileges for role postgres, supabase_admin in schema public grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public grant all on functions to postgres, anon, authenticated, service_role;

-- The history tables, as the Supabase CLI writes them.
create schema supabase_migrations authorization postgres;
create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
create table supabase_migrations.seed_files (path text primary key, hash text not null);
alter table supabase_migrations.schema_migrations owner to postgres;
alter table supabase_migrations.seed_files owner to postgres;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;

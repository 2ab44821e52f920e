-- The roles that Supabase clients, migrations and policies name. `supabase_admin` is the superuser made by initdb; `postgres`, which runs the migrations, is none, as on the hosted platform.
create role postgres login createdb createrole replication bypassrls password :'password';
grant pg_monitor, pg_read_all_data, pg_signal_backend, pg_create_subscription, pg_checkpoint to postgres;

-- What a request may be: the data API switches to one of these after it has read the token.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit password :'password';

-- What the services are.
create role supabase_auth_admin login noinherit createrole password :'password';
create role supabase_storage_admin login noinherit createrole password :'password';
create role supabase_functions_admin login noinherit createrole password :'password';
create role supabase_replication_admin login replication password :'password';
create role supabase_read_only_user login bypassrls password :'password';
create role supabase_realtime_admin nologin noinherit;
create role supabase_etl_admin login replication bypassrls password :'password';
create role dashboard_user nologin createdb createrole replication;
create role pgbouncer login password :'password';

grant anon, authenticated, service_role to authenticator, supabase_storage_admin;
grant authenticator to supabase_storage_admin;
grant anon, authenticated, service_role to postgres with admin option;
grant authenticator, supabase_auth_admin, supabase_storage_admin, supabase_realtime_admin, supabase_functions_admin, dashboard_user to postgres with admin option;
-- Migrations run as `postgres` and create policies on storage.objects and triggers on auth.users, which their owners alone may do.
grant supabase_auth_admin, supabase_storage_admin to postgres with inherit true, set true;
grant pg_read_all_data to supabase_read_only_user, supabase_etl_admin;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role supabase_auth_admin set search_path = 'auth';
alter role supabase_storage_admin set search_path = 'storage';
alter role supabase_admin set search_path = '$user', public, auth, extensions;
alter role postgres set search_path = '$user', public, extensions;

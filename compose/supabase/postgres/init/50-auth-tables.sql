-- 40-auth-and-storage.sql, written while the image is built, made the tables of @supabase/lite. Here they become what seeds and migrations written for the official stack expect.

-- Seeds that insert into auth.users name these columns.
alter table auth.users add column instance_id uuid, add column is_super_admin boolean;
alter table auth.identities alter column id set default gen_random_uuid();

-- @supabase/lite 0.10.0 writes these two as a JSON string inside jsonb, and the usual trigger `handle_new_user` would read NULL from new.raw_user_meta_data ->> 'username'.
-- Triggers fire in the order of their names: this one first.
create function auth.devenv_unwrap_metadata() returns trigger language plpgsql as $$
begin
  if jsonb_typeof(new.raw_user_meta_data) = 'string' then new.raw_user_meta_data := (new.raw_user_meta_data #>> '{}')::jsonb; end if;
  if jsonb_typeof(new.raw_app_meta_data) = 'string' then new.raw_app_meta_data := (new.raw_app_meta_data #>> '{}')::jsonb; end if;
  return new;
end
$$;
create trigger _00_devenv_unwrap_metadata before insert or update on auth.users for each row execute function auth.devenv_unwrap_metadata();

create function auth.devenv_unwrap_identity() returns trigger language plpgsql as $$
begin
  new.identity_data := (new.identity_data #>> '{}')::jsonb;
  return new;
end
$$;
create trigger _00_devenv_unwrap_identity before insert or update on auth.identities for each row
  when (jsonb_typeof(new.identity_data) = 'string') execute function auth.devenv_unwrap_identity();

do $$
declare t record;
begin
  for t in select schemaname, tablename from pg_tables where schemaname in ('auth', 'storage') loop
    execute format('alter table %I.%I owner to %I', t.schemaname, t.tablename, case t.schemaname when 'auth' then 'supabase_auth_admin' else 'supabase_storage_admin' end);
  end loop;
end
$$;

grant all on all tables in schema auth to supabase_auth_admin, postgres, dashboard_user, service_role;
grant all on all tables in schema storage to supabase_storage_admin, postgres, dashboard_user, service_role;
grant select, insert, update, delete on all tables in schema storage to anon, authenticated;
grant execute on all functions in schema storage to anon, authenticated, service_role;
alter default privileges in schema auth grant all on tables to postgres, service_role;

-- A guest (anonymous sign-in) who confirms an address is no longer one.
create function auth.devenv_guest_becomes_user() returns trigger language plpgsql as $$
begin
  new.is_anonymous := false;
  return new;
end
$$;
create trigger _10_devenv_guest_becomes_user before update on auth.users for each row
  when (old.is_anonymous and new.is_anonymous and coalesce(new.email, '') <> '' and new.email_confirmed_at is not null) execute function auth.devenv_guest_becomes_user();

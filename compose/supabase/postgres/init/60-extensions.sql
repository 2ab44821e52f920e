create extension supabase_vault;
grant usage on schema vault to postgres, service_role;
grant all on schema vault to postgres;
grant all on all tables in schema vault to postgres, service_role;

create extension pgmq;
grant usage on schema pgmq to postgres, service_role;
grant all on schema pgmq to postgres;
grant all on all tables in schema pgmq to postgres, service_role;
grant all on all sequences in schema pgmq to postgres, service_role;
alter default privileges in schema pgmq grant all on tables to postgres, service_role;

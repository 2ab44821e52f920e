#!/bin/sh
# Follows the conventions of the official images (POSTGRES_PASSWORD, /docker-entrypoint-initdb.d) and of the Supabase CLI, which can run on this image:
# which calls this file by its name, leaves a schema of its own in /etc/postgresql.schema.sql, and wants any command but `postgres` to run unchanged (`supabase db dump` is a `bash -c pg_dump`).
set -eu

[ "${1:-}" = postgres ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown postgres:postgres "$PGDATA"
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

# The database is made in a subdirectory and moved into place when it is whole, PG_VERSION last:
# a container killed half-way through starts again from nothing instead of living on with half a database.
new=$PGDATA/.initialising

initialise() {
  : "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD is required to initialise an empty volume}"
  password_file=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" > "$password_file"
  initdb -D "$new" -U supabase_admin --pwfile="$password_file" --auth=trust \
    --encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8 --no-sync --no-instructions >/dev/null
  rm -f "$password_file"

  # On the Unix socket only, so that a health check over TCP does not take this server for the real one; and without fsync, since an interrupted one is thrown away.
  pg_ctl -D /etc/postgresql -o "-c data_directory=$new -c listen_addresses='' -c fsync=off -c log_min_messages=fatal" -w -s start
  set -- -qX -v ON_ERROR_STOP=1 -v password="$POSTGRES_PASSWORD" -v jwt_secret="${JWT_SECRET:-}" -v jwt_exp="${JWT_EXP:-3600}"
  for file in /docker-entrypoint-initdb.d/*.sql; do set -- "$@" -f "$file"; done
  # What the CLI brings sets passwords from PGPASSWORD, and makes the schema of the webhooks itself.
  if [ -f /etc/postgresql.schema.sql ]; then set -- "$@" -f /etc/postgresql.schema.sql; else set -- "$@" -f /etc/postgresql-custom/webhooks.sql; fi
  PGPASSWORD="$POSTGRES_PASSWORD" PGOPTIONS='-c client_min_messages=warning' psql -U supabase_admin -d postgres "$@"
  pg_ctl -D "$new" -m fast -w -s stop

  for file in "$new"/*; do
    [ "$file" = "$new/PG_VERSION" ] || mv "$file" "$PGDATA"/
  done
  sync -f "$PGDATA"
  mv "$new/PG_VERSION" "$PGDATA"/
  rmdir "$new"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -d "$new" ]; then
    echo "an earlier start was interrupted while it made the database: making it again"
    find "$PGDATA" -mindepth 1 -delete
  fi
  initialise
fi

exec "$@"

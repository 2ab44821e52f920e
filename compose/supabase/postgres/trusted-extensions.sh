#!/bin/sh
# On the hosted platform the role `postgres`, no superuser, may create these extensions. `trusted` in the control file gives the same with stock PostgreSQL.
set -eu
cd /usr/share/postgresql/17/extension
for extension in vector http hypopg pgtap plpgsql_check rum semver pg_repack pg_cron pgaudit pgmq pg_stat_statements postgres_fdw file_fdw dblink \
  pageinspect pgstattuple pg_buffercache pg_prewarm pgrowlocks amcheck pg_walinspect pg_visibility pg_freespacemap sslinfo xml2 earthdistance bloom; do
  [ ! -f "$extension.control" ] || grep -q '^trusted' "$extension.control" || echo 'trusted = true' >> "$extension.control"
done

//! Stacks that more than one file of tests starts.

/// A PostgreSQL that keeps its data in a volume. What follows it stands beside `services` and `volumes`.
pub(crate) const POSTGRES: &str = "services:
  db:
    image: devenv.local/supabase/postgres:17
    environment: {POSTGRES_PASSWORD: 'pass word', PGDATA: /var/lib/postgresql/data}
    ports: ['127.0.0.1::5432']
    volumes: ['data:/var/lib/postgresql/data']
    stop_signal: SIGINT
    healthcheck: {test: pg_isready -q -h 127.0.0.1 -U postgres, interval: 200ms, start_period: 60s, retries: 50}
volumes: {data: {}}
";

/// A server that answers with its name, `web`. Its program is `gateway/server.pl`.
pub(crate) const WEB: &str = "services:
  web:
    image: IMAGE
    command: perl /server.pl
    stop_signal: SIGKILL
    environment: {NAME: 'web', PORT: '80'}
    expose: ['80']
    volumes: ['./server.pl:/server.pl:ro']
";

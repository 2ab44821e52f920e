//! PostgreSQL 18, which copies a database by sharing blocks (`file_copy_method = clone`) where its file system can, as
//! XFS can: Debian's own package, in an image of its own.

use bollard::models::ContainerCreateBody;

use super::servers::{self, ADMIN, Plain, Server, close, fill, first_query, free_port};
use super::site::Site;
use super::{Bench, XFS, told};

const IMAGE: &str = "devenv.local/bench/postgres:18";

/// Builds the image, which takes a minute the first time.
pub(super) fn build(bench: &Bench<'_>) -> Result<(), String> {
    let site = Site::new(bench, "eighteen", XFS)?;
    site.write(
        "compose.yaml",
        &format!("name: {}\nservices: {{db: {{image: {IMAGE}, build: .}}}}\n", site.project),
    )?;
    site.write("start", &start())?;
    site.write("Dockerfile", DOCKERFILE)?;
    site.devenv(&["build"]).map(|_| ())
}

const DOCKERFILE: &str = "FROM devenv.local/debian:trixie
RUN echo 'deb http://deb.debian.org/debian sid main' > /etc/apt/sources.list.d/sid.list \\
    && mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \\
    && apt-get update -qq \\
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends -t sid postgresql-18
ENV PATH=/usr/lib/postgresql/18/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY --chmod=755 start /
ENTRYPOINT [\"/start\"]
";

fn start() -> String {
    format!(
        "#!/bin/sh
set -e
mkdir -p \"$PGDATA\" && chown postgres: \"$PGDATA\"
as() {{ setpriv --reuid=postgres --regid=postgres --clear-groups \"$@\"; }}
if [ ! -s \"$PGDATA/PG_VERSION\" ]; then
  as initdb -A trust -U {ADMIN} >/dev/null
  echo 'host all all all trust' >> \"$PGDATA/pg_hba.conf\"
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -c listen_addresses='*' \\
  -c file_copy_method=clone -c synchronous_commit=off -c unix_socket_directories=/tmp \"$@\"
"
    )
}

/// A server whose data lies in the pool, filled by pgbench.
pub(super) async fn make(bench: &Bench<'_>, scale: u32) -> Result<Plain, String> {
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        env: Some(vec!["PGHOST=/tmp".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let server = Server::of(bench, body);
    let root = servers::place(bench.engine, &format!("{XFS}-mount")).await?;
    let name = format!("eighteen{scale}");
    let data = root.join("bench").join(&name);
    std::fs::create_dir_all(&data).map_err(told)?;
    let volume = data.to_string_lossy().into_owned();
    let running = server.start(&name, &volume, free_port()?).await?;
    close(first_query(&running.uri("postgres")).await?).await;
    fill(bench.engine, &running.name, scale).await?;
    Ok(Plain { server, running, volume })
}

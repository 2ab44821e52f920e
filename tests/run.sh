#!/usr/bin/env bash
# All tests, in the order in which they fail soonest. Installs what it needs (Debian or Ubuntu, as root) and
# says how long each part took. With names of parts as arguments it runs only those.
set -euo pipefail
cd "$(dirname "$0")/.."

parts=(tools format binary engine lint scripts node unit pools readme sample modules peers live corpus)
wanted=("$@")
summary=()

runs() { [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $1 "* ]]; }

part() {
  local name=$1 began=$SECONDS
  shift
  runs "$name" || return 0
  printf '\n━━━ %s\n' "$name"
  "$@"
  summary+=("$(printf '%-8s %4d s' "$name" $((SECONDS - began)))")
}

# Runs as another process would: no prompts, no colours, messages in English.
export CI=true NO_COLOR=1 LC_ALL=C.UTF-8
devenv=$PWD/target/release/devenv
clone=$PWD/target/readme
sample=$clone/sample
all_modules=$PWD/target/modules
# Beside a stack on the usual ports, not in its way.
export SAMPLE_NAME=devenv-readme API_PORT=55321 STUDIO_PORT=55323 DB_PORT=55322 MAIL_PORT=55324
export CACHE_PORT=56379 NATS_PORT=54222 NATS_MONITOR_PORT=58222 PROMETHEUS_PORT=59090 RABBITMQ_PORT=55672
export RABBITMQ_UI_PORT=55673 S3_PORT=59000
# Beside the user's own, and taken away at the end.
export DEVENV_POOL=devenv-readme-pool DEVENV_GATEWAY=devenv-readme-gateway XDG_STATE_HOME=$PWD/target/state

tools() {
  local missing=()
  command -v shellcheck >/dev/null || missing+=(shellcheck)
  command -v node >/dev/null || missing+=(nodejs npm)
  command -v docker-registry >/dev/null || missing+=(docker-registry)
  command -v git >/dev/null || missing+=(git)
  # Machines that the tests break have a disk of their own.
  command -v mkfs.xfs >/dev/null || missing+=(xfsprogs)
  command -v btrfs >/dev/null || missing+=(btrfs-progs)
  [ ${#missing[@]} -eq 0 ] && return 0
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  # The tests start registries of their own.
  if [ -d /run/systemd/system ]; then systemctl disable --quiet --now docker-registry || true; fi
}

format() { cargo fmt --check; }

binary() { cargo build --release --locked; }

engine() { "$devenv" doctor --fix; }

# With the places to fail at, for the tests' one build, and without them, as it is released.
lint() {
  cargo clippy --locked --all-targets --features failpoints -- --deny warnings
  cargo clippy --locked --lib --bins -- --deny warnings
}

scripts() {
  # The folder of a template may hold scripts without an extension: the first line tells.
  git ls-files -z | xargs -0 grep -lZ '^#!.*\(sh\|bash\)$' -- 2>/dev/null | xargs -0 shellcheck
}

node() {
  local folder
  for folder in compose/supabase/{gateway,realtime,functions}; do
    (cd "$folder" && npm ci --silent --no-fund --no-audit && npm test --silent)
  done
}

unit() { cargo test --locked --features failpoints --lib --bins --test cli --test layering; }

# Pools on loop devices, and keepers that die between two steps.
pools() { cargo test --locked --features failpoints --test storage; }

# Every command of the README, in order, in a clone that stands for a new user's. It leaves the sample stack
# running for the next part.
readme() {
  # With the records of a run that was cut off, the new clone would be taken for the old one.
  rm -rf "$clone" target/state
  git clone -q . "$clone"
  cp Makefile README.md "$clone/"
  # shellcheck disable=SC2016 # awk's own fields
  awk '/^```sh$/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$clone/readme.sh"
  (cd "$clone" && DEVENV=$devenv PATH=${devenv%/*}:$PATH bash -euxo pipefail readme.sh)
}

sample() {
  local variables
  variables=$("$devenv" -C "$sample" status -o env)
  # Values that the tests find in their environment.
  set -a
  eval "$variables"
  set +a
  export FUNCTIONS_DIR=$sample/supabase/functions
  (cd tests/supabase && npm ci --silent --no-fund --no-audit && npm test --silent)
  "$devenv" -C "$sample" down --volumes --yes
}

# Every module in one project, each by its own test.
modules() {
  rm -rf "$all_modules" && mkdir -p "$all_modules"
  # The project itself, whatever git branch of ours is checked out.
  git init -q -b main "$all_modules"
  printf 'name: devenv-modules\nservices: {}\n' >"$all_modules/compose.yaml"
  (
    cd "$all_modules"
    "$devenv" module add cache queue-nats queue-rabbitmq storage-s3 monitoring
    "$devenv" up
    "$devenv" module test
    "$devenv" down --volumes --yes
  )
}

live() { cargo test --locked --features failpoints --test live; }

peers() { tests/peers/fetch.sh; }

corpus() {
  local judge=../shared/corpus/compose/judge
  if [ -e "$judge" ]; then
    python3 "$judge" --program "$devenv"
  else
    echo "no corpus beside the project: nothing to judge"
  fi
}

cleanup() {
  local project
  for project in "$sample" "$all_modules"; do
    if [ -d "$project" ] && [ -x "$devenv" ]; then "$devenv" -C "$project" down --volumes --yes --quiet || true; fi
  done
  if [ -x "$devenv" ]; then "$devenv" gateway down --volumes --quiet || true; fi
  if [ -x "$devenv" ] && "$devenv" pool status >/dev/null 2>&1; then "$devenv" pool delete --yes || true; fi
  rm -rf target/state
}
trap cleanup EXIT

for name in "${parts[@]}"; do
  part "$name" "$name"
done
printf '\n━━━ all passed in %d s\n' "$SECONDS"
printf '%s\n' "${summary[@]}"

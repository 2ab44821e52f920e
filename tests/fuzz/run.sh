#!/usr/bin/env bash
# Fuzzes what reads people's files: `loader` (compose files), `interpolation` (variables in them), `dotenv`
# (files of variables). libFuzzer through the stable compiler; needs a C++ compiler and nothing else.
#
#   tests/fuzz/run.sh                   all three side by side, ten minutes
#   tests/fuzz/run.sh loader 60         one target, for a minute
#   tests/fuzz/run.sh loader FILE...    reads these inputs once, without trying others
#   SEEDS=/tmp/more tests/fuzz/run.sh   with more to start from: the files of /tmp/more/loader/ and so on
#
# It ends badly when an input makes a target panic, takes longer than a second, or half a gigabyte. The input is
# left in the target folder under `findings/`; what is worth keeping becomes a unit test beside its mending.
# What was learnt in one run is the start of the next one, in `learnt/` there. `seeds/` is written by hand.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../target/fuzz}

wanted=${1:-all}
targets=(loader interpolation dotenv)
case $wanted in
all) ;;
loader | interpolation | dotenv) targets=("$wanted") ;;
*)
  echo "no such target: $wanted; there are: ${targets[*]}, all" >&2
  exit 2
  ;;
esac

# With the versions of the main build.
if [ "$here/../../Cargo.lock" -nt "$here/Cargo.lock" ]; then cp "$here/../../Cargo.lock" "$here/Cargo.lock"; fi
RUSTC_WRAPPER=$here/rustc.sh cargo build --manifest-path "$here/Cargo.toml"

limits=(-timeout=1 -rss_limit_mb=512 -max_len=4096)
if [ -e "${2:-}" ]; then
  exec "$CARGO_TARGET_DIR/debug/$wanted" "${limits[@]}" "${@:2}"
fi

fuzz() {
  local target=$1 seconds=$2 learnt=$CARGO_TARGET_DIR/learnt/$1 log=$CARGO_TARGET_DIR/$1.log
  local more=${SEEDS:+$SEEDS/$target}
  mkdir -p "$learnt" "$CARGO_TARGET_DIR/findings"
  "$CARGO_TARGET_DIR/debug/$target" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 \
    -dict="$here/seeds/$target.dict" -artifact_prefix="$CARGO_TARGET_DIR/findings/$target-" \
    "$learnt" "$here/seeds/$target" ${more:+"$more"} >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    echo "$target: a finding; the whole log is $log" >&2
    return 1
  }
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, no finding"
}

running=()
for target in "${targets[@]}"; do
  fuzz "$target" "${2:-600}" &
  running+=($!)
done
failed=0
for process in "${running[@]}"; do wait "$process" || failed=1; done
exit $failed

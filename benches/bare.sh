#!/bin/sh
# From a bare machine to a healthy Supabase-style stack, each part timed by itself: the engine and the base
# image (`doctor --fix`), the images, the stack; and, with --make, `make up` as a whole instead.
#
#     benches/bare.sh [--make] [--keep]
#
# Run it once, where no engine is installed: on a machine that has the engine and the images it measures little.
# DEVENV_BIN names the binary; else it is built here, which is timed too and does not count.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
make=false keep=false
for word in "$@"; do
    case $word in
        --make) make=true ;;
        --keep) keep=true ;;
        *) echo "usage: $0 [--make] [--keep]" >&2; exit 2 ;;
    esac
done

now() { date +%s%N; }
rows='' total=0
# Runs the rest of the words; adds a row; `counts` says whether it belongs to the sum.
timed() {
    name=$1 counts=$2
    shift 2
    echo "── $name: $*" >&2
    began=$(now)
    "$@" >&2
    took=$((($(now) - began) / 1000000))
    if [ "$counts" = counts ]; then total=$((total + took)); fi
    rows="$rows$(printf '%-42s %4d.%03d s' "$name" $((took / 1000)) $((took % 1000)))
"
}

if $make; then
    timed "make up, as a whole" counts make -C "$here" up
else
    devenv=${DEVENV_BIN:-}
    if [ -z "$devenv" ]; then
        timed "(release binary: cargo build)" apart cargo build --release --manifest-path "$here/Cargo.toml"
        devenv=${CARGO_TARGET_DIR:-$here/target}/release/devenv
    fi
    sample=$(mktemp -d)/dvb-bare
    mkdir "$sample"
    clean() {
        if ! $keep; then
            "$devenv" -C "$sample" down --volumes --yes >&2 || true
            rm -rf "$sample"
        fi
    }
    trap clean EXIT
    trap 'exit 130' INT TERM
    timed "engine and base image (doctor --fix)" counts "$devenv" doctor --fix
    timed "template (init --template supabase)" counts "$devenv" -C "$sample" init --template supabase
    timed "images (build)" counts "$devenv" -C "$sample" build
    timed "stack, until all are healthy (up)" counts "$devenv" -C "$sample" up
    timed "(up again, nothing to do)" apart "$devenv" -C "$sample" up
fi
echo
printf '%s' "$rows"
verdict=MISS
if [ "$total" -le 300000 ]; then verdict=pass; fi
printf '%-42s %4d.%03d s   target < 300 s: %s\n' "sum" $((total / 1000)) $((total % 1000)) "$verdict"
printf 'load %s, %s cores\n' "$(cut -d' ' -f1-3 /proc/loadavg)" "$(nproc)"

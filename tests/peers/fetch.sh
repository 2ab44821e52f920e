#!/bin/sh
# Fetches the real Compose, of the two versions that the interop tests run beside ours, from Debian's
# packages: 2.40 from forky (whose hashes and labels ours are) and 2.26 from trixie. And the real Supabase CLI, whose
# history of migrations ours is, from npm.
#
# usage: fetch.sh [DIRECTORY]     (target/peers in the build directory unless named)
#
# Nothing is installed: each package is unpacked below DIRECTORY, and apt works with lists of its own.
# What is there already is left alone, so that it can be called before every run.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
peers=${1:-${CARGO_TARGET_DIR:-$here/target}/peers}
mirror=${DEVENV_DEBIAN_MIRROR:-http://deb.debian.org/debian}
mkdir -p "$peers"
peers=$(cd "$peers" && pwd)

# version_of PROGRAM: its version, or nothing.
version_of() {
    "$1" version --short 2>/dev/null | sed 's/^v//; s/[-+].*//' || true
}

# fetch SUITE PREFIX: unpacks docker-compose of a suite as DIRECTORY/compose-PREFIX.
fetch() {
    suite=$1 prefix=$2
    program=$peers/compose-$prefix
    case $(version_of "$program") in
    "$prefix".*)
        echo "compose $prefix: $(version_of "$program"), already there"
        return
        ;;
    esac
    work=$(mktemp -d "$peers/fetch.XXXXXX")
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$work'" EXIT
    mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/empty"
    echo "deb $mirror $suite main" >"$work/sources.list"
    : >"$work/status"
    set -- \
        -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/empty" \
        -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status" \
        -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" \
        -o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Retries=3 -qq
    apt-get "$@" update
    (cd "$work" && apt-get "$@" download docker-compose)
    dpkg-deb -x "$work"/docker-compose_*.deb "$work/tree"
    # The package has it as a plugin of the client; it runs on its own as well.
    found=$(find "$work/tree" -type f -name docker-compose -perm -u+x | head -n 1)
    case $(version_of "$found") in
    "$prefix".*) ;;
    *)
        echo "fetch.sh: $suite has docker-compose $(version_of "$found"), wanted $prefix" >&2
        exit 1
        ;;
    esac
    # A rename, so that a run that is cut short leaves no half program.
    mv "$found" "$program"
    rm -rf "$work"
    trap - EXIT
    echo "compose $prefix: $(version_of "$program")"
}

fetch trixie 2.26
fetch forky 2.40

# The package for this machine holds the program itself: nothing of npm's is run.
supabase=3.1.0
program=$peers/supabase-$supabase
if [ "$("$program" --version 2>/dev/null || true)" = "$supabase" ]; then
    echo "supabase $supabase: already there"
else
    case $(uname -m) in aarch64 | arm64) machine=arm64 ;; *) machine=x64 ;; esac
    work=$(mktemp -d "$peers/fetch.XXXXXX")
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$work'" EXIT
    (cd "$work" && npm pack --silent "@supabase/cli-linux-$machine@$supabase" >/dev/null && tar -xzf ./*.tgz)
    mv "$work/package/bin/supabase" "$program"
    rm -rf "$work"
    trap - EXIT
    echo "supabase $supabase: $("$program" --version)"
fi

#!/bin/sh
# Fetches the peer, Docker Compose, as Debian packages it, and prints the path of its binary. Nothing is
# installed: apt works on lists of its own and the package is only unpacked, below the given directory.
#
#     tests/peers/fetch.sh [DIRECTORY]        default: $CARGO_TARGET_DIR/peers, else target/peers
#
# Compose 2.40 is what the config hash of ours is written for (src/plan/labels.rs).
set -eu
suite=forky
package=docker-compose
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
directory=${1:-${CARGO_TARGET_DIR:-$here/target}/peers}
binary=$directory/$package/usr/libexec/docker/cli-plugins/docker-compose

if [ ! -x "$binary" ]; then
    mkdir -p "$directory"
    work=$(mktemp -d "$directory/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    # apt's download method may run as another user.
    chmod 755 "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts" "$work/keys"
    cp /usr/share/keyrings/debian-archive-*.gpg "$work/keys/" 2>/dev/null || true
    cp "$here"/src/machine/keys/*.asc "$work/keys/"
    : >"$work/status"
    echo "deb $mirror $suite main" >"$work/sources.list"
    apt() {
        apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts" \
            -o Dir::Etc::trustedparts="$work/keys" -o Dir::Etc::trusted="$work/none.gpg" \
            -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
            -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@" >&2
    }
    apt update
    (cd "$work" && apt download "$package")
    mkdir "$work/root"
    dpkg-deb -x "$work/${package}"_*.deb "$work/root"
    # Two at once: the first to move wins, and both have the same.
    mv -T "$work/root" "$directory/$package" 2>/dev/null || [ -x "$binary" ]
fi
echo "$binary"

#!/bin/sh
# pick-pgmq.sh FROM TO: of the files of pgmq, the control file and the one install script of its version (the crate also carries every upgrade since 0.10)
set -eu
mkdir -p "$2"
cp "$1/pgmq.control" "$2/"
version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$1/pgmq.control")
cp "$1/sql/pgmq--$version.sql" "$2/" 2>/dev/null || cp "$1/sql/pgmq.sql" "$2/pgmq--$version.sql"

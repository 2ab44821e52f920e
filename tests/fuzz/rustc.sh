#!/bin/sh
# Cargo calls this in rustc's place. libFuzzer is shown which ways the crates under test go, and no others: with
# `sqlx` and `bollard` measured too, a build takes minutes more and an input no less.
for argument; do
    case $previous in --crate-name) crate=$argument ;; esac
    previous=$argument
done
case $crate in
devenv | saphyr_parser | loader | interpolation | dotenv)
    exec "$@" --cfg fuzzing -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"

#!/bin/bash
# Runs everything that must hold: format, lints, all tests. Installs what that needs when it is missing (Debian's C++
# compiler, PostgreSQL 15 and ffmpeg, at the versions that the distribution pins), and starts a private PostgreSQL for
# the tests, which is gone afterwards.
# With arguments it runs tests alone and passes them on: `bash tests/run.sh journal` runs those whose names hold
# "journal".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The directory of PostgreSQL's programs, newest version first.
postgres_programs() {
    find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin -type d 2>/dev/null | sort -rV | head -n 1
}

missing=()
# The video encoder is compiled from C++.
if ! command -v c++ >/dev/null; then
    missing+=(g++)
fi
if [ ! -x "$(postgres_programs)/postgres" ]; then
    missing+=(postgresql)
fi
# The tests look at the videos with ffprobe and ffmpeg; the product itself needs neither.
if ! command -v ffprobe >/dev/null || ! command -v ffmpeg >/dev/null; then
    missing+=(ffmpeg)
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing what is missing: ${missing[*]}" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
programs=$(postgres_programs)

# What stands in for OpenAI-compatible providers, at the version that its lock file pins. It needs Node 20.15 or newer.
if [ ! -x tests/aimock/node_modules/.bin/aimock ]; then
    command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.15 or newer" >&2; exit 1; }
    (cd tests/aimock && npm ci --no-audit --no-fund --loglevel=error >&2)
fi

if [ $# = 0 ]; then
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
fi

# PostgreSQL refuses to run as root: then it runs as the user that its package made.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

home=$(mktemp -d "${TMPDIR:-/tmp}/mixvideo-postgres.XXXXXX")
if [ "$(id -u)" = 0 ]; then
    chown postgres: "$home"
fi
stop() {
    as_postgres "$programs/pg_ctl" -D "$home/data" -m immediate -s stop >/dev/null 2>&1 || true
    rm -rf "$home"
}
trap stop EXIT

# A port that nobody answers on.
port=$((20000 + RANDOM % 20000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((20000 + RANDOM % 20000))
done
as_postgres "$programs/initdb" -D "$home/data" -U mixvideo -A trust -E UTF8 --no-instructions >/dev/null
as_postgres "$programs/pg_ctl" -D "$home/data" -l "$home/log" -s -w -t 60 \
    -o "-p $port -k $home -c listen_addresses=127.0.0.1 -c max_connections=300" start
export MIXVIDEO_TEST_POSTGRES="postgres://mixvideo@127.0.0.1:$port/postgres"

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --locked --no-fail-fast "$@"
else
    cargo test --workspace --locked --no-fail-fast "$@"
fi

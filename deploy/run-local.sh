#!/usr/bin/env bash
# The whole bundle on this machine, from programs that are installed here, without containers:
#
#   deploy/run-local.sh                               the demo, with its outages
#   deploy/run-local.sh demo --for 2m                 feedwatch with other arguments; it ends when feedwatch does
#   deploy/run-local.sh run --config feeds.toml       the real venue
#
# Prometheus and Alertmanager are needed; Grafana and Jaeger are started where they are installed. Pages are printed. Ctrl-C
# ends everything. Everything listens on loopback.
#
#   FEEDWATCH       the program; default: target/release/feedwatch, or the one on the path
#   FEEDWATCH_DATA  where the others keep their data and logs; default: a temporary folder, removed at the end
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "run-local: $*"
    exit 1
}

# The first of these programs that is installed; nothing if none is.
first_of() {
    local name
    for name in "$@"; do
        if command -v "$name"; then return; fi
    done
}

feedwatch=${FEEDWATCH:-}
if [[ -z $feedwatch ]]; then
    feedwatch=$(first_of "$root/target/release/feedwatch" feedwatch)
fi
[[ -n $feedwatch ]] || fail "there is no feedwatch: cargo build --release"
prometheus=$(first_of prometheus)
alertmanager=$(first_of alertmanager prometheus-alertmanager)
if [[ -z $prometheus || -z $alertmanager ]]; then
    fail "Prometheus and Alertmanager are needed; Debian and Ubuntu: apt install prometheus prometheus-alertmanager"
fi
grafana=$(first_of grafana)
jaeger=$(first_of jaeger)

data=${FEEDWATCH_DATA:-}
if [[ -z $data ]]; then
    data=$(mktemp -d)
    temporary=$data
fi
mkdir -p "$data"

pids=()
names=()
# shellcheck disable=SC2329 # the trap calls it
end() {
    # The last started first, so that feedwatch is gone before those who would miss it.
    local at
    for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
        kill "${pids[at]}" 2>/dev/null || true
    done
    wait
    if [[ -n ${temporary:-} ]]; then rm -rf "$temporary"; fi
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# start NAME COMMAND...: in the background, its output in a log.
start() {
    local name=$1
    shift
    "$@" >"$data/$name.log" 2>&1 &
    pids+=($!)
    names+=("$name")
}

# ready NAME PORT: until it accepts connections, for 30 seconds.
ready() {
    local name=$1 port=$2 tries
    for ((tries = 0; tries < 300; tries++)); do
        kill -0 "${pids[-1]}" 2>/dev/null || break
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        sleep 0.1
    done
    tail -n 5 "$data/$name.log" >&2
    fail "$name does not listen on port $port"
}

# Somebody else's would be taken for ours.
for port in 9885 9887 9090 9093; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        fail "port $port is taken: end the program that listens there"
    fi
done

# Pages belong on the terminal.
"$feedwatch" pager &
pids+=($!)
names+=(pager)
touch "$data/pager.log"
ready pager 9887
start alertmanager "$alertmanager" --config.file="$root/deploy/alertmanager.yml" --storage.path="$data/alertmanager" \
    --web.listen-address=127.0.0.1:9093 --cluster.listen-address=
ready alertmanager 9093
start prometheus "$prometheus" --config.file="$root/prometheus.yml" --storage.tsdb.path="$data/prometheus" \
    --web.listen-address=127.0.0.1:9090 --enable-feature=exemplar-storage --web.enable-lifecycle
ready prometheus 9090
say "Prometheus     http://127.0.0.1:9090/alerts"
say "Alertmanager   http://127.0.0.1:9093"

if [[ -n $jaeger ]]; then
    start jaeger "$jaeger"
    ready jaeger 4318
    export OTEL_EXPORTER_OTLP_ENDPOINT=${OTEL_EXPORTER_OTLP_ENDPOINT:-http://127.0.0.1:4318}
    say "Jaeger         http://127.0.0.1:16686"
else
    say "Jaeger         is not installed: no traces"
fi
if [[ -n $grafana ]]; then
    start grafana env GF_PATHS_DATA="$data/grafana" GF_PATHS_PROVISIONING="$root/grafana/provisioning" \
        FEEDWATCH_DASHBOARDS="$root/grafana/dashboards" GF_SERVER_HTTP_ADDR=127.0.0.1 GF_SERVER_HTTP_PORT=3000 \
        GF_AUTH_ANONYMOUS_ENABLED=true "$grafana" server --homepath "${GRAFANA_HOME:-/usr/share/grafana}"
    ready grafana 3000
    say "Grafana        http://127.0.0.1:3000/d/feedwatch-overview"
else
    say "Grafana        is not installed: no dashboards"
fi

if (($# == 0)); then set -- demo; fi
"$feedwatch" "$@" &
pids+=($!)
names+=(feedwatch)

# Whichever ends first ends all.
code=0
wait -n -p ended "${pids[@]}" || code=$?
for at in "${!pids[@]}"; do
    if [[ ${pids[at]} == "$ended" && ${names[at]} != feedwatch ]]; then
        tail -n 5 "$data/${names[at]}.log" >&2
        fail "${names[at]} has ended by itself"
    fi
done
exit "$code"

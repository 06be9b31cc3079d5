#!/bin/sh
# Two services that talk over mutual TLS, with a token. Usage: run.sh [data directory of a running `npm run dev`]
set -eu
data=$(cd "${1:-purser-data}" && pwd)
cd "$(dirname "$0")/../.."
run() { exec node --conditions=purser-source --import tsx --env-file="$data/dev/$1.env" "examples/express/$1.js"; }
mkfifo "$data/dev/orders.out"
(run orders) >"$data/dev/orders.out" &
orders=$!
trap 'kill $orders; rm -f "$data/dev/orders.out"' EXIT
head -n 1 "$data/dev/orders.out" # waits until it listens
(run web)

#!/bin/sh
# A workload's identity with openssl and curl only: creates a key, sends the orchestrator's token, verifies the chain.
# Usage: get-credentials.sh <https://purser:8443> <ca.pem> <token file> [secret path]      (`purser dev` prints them)
set -eu
umask 077
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout key.pem -out csr.pem 2>/dev/null
csr=$(awk '{ printf "%s\\n", $0 }' csr.pem)
curl -sS --fail-with-body --cacert "$2" -H 'content-type: application/json' -d @- -o reply.json "$1/api/v1/credentials" <<EOF || { cat reply.json; exit 1; }
{ "proof": { "kind": "jwt", "token": "$(cat "$3")" }, "x509": { "csr": "$csr" }, "secrets": [${4:+"\"$4\""}] }
EOF
printf '%b' "$(sed 's/.*"certificateChain":"\([^"]*\)".*/\1/' reply.json)" >chain.pem
openssl verify -x509_strict -CAfile "$2" -untrusted chain.pem -show_chain chain.pem
openssl x509 -in chain.pem -noout -ext subjectAltName -enddate
grep -o '"path":"[^"]*","version":[0-9]*' reply.json || true

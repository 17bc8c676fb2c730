#!/bin/sh
# Clones afresh, runs the README's first commands in order, and times them: how long a stranger waits for a token. Then
# asks the calls of the documents and holds the answers against those they show. Fails if the first token takes two minutes,
# or if what is printed is not what the documents say. Ports as by default.
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'kill -INT "$run" 2>/dev/null || true; wait "$run" 2>/dev/null || true; rm -rf "$folder"' EXIT
began=$(date +%s)

git clone -q "$repository" "$folder/clone"
cd "$folder/clone"
line=$(grep '^curl -s -X POST http://127.0.0.1:8080/' README.md)
setsid make run > "$folder/printed" 2>&1 &
run=-$!
until grep -qF "$line" "$folder/printed"; do
    if [ $(($(date +%s) - began)) -ge 120 ] || ! kill -0 "$run" 2>/dev/null; then
        cat "$folder/printed"
        echo "make run did not print the README's line"
        exit 1
    fi
    sleep 0.2
done
answer=$(eval "$line")
took=$(($(date +%s) - began))
case "$answer" in
    *'"token_type":"telnyx_client_token"'*) echo "first token $took s after the clone was begun" ;;
    *) echo "no token: $answer"; exit 1 ;;
esac
for path in healthz readyz docs openapi.yaml console/; do
    curl -fsS -o /dev/null "http://127.0.0.1:8080/$path" && echo "/$path is there"
done
make test ARGS=tests/docs/test_documents.py
[ "$took" -lt 120 ]

#!/bin/sh
# Pins both requirement files anew, for all platforms, with hashes and without a word about where they came from.
set -eu
uv="$1/bin/uv"
options="--universal --generate-hashes --python-version 3.11 --no-annotate --no-emit-index-url --no-header --quiet"
"$uv" pip compile $options pyproject.toml -o requirements.txt
"$uv" pip compile $options --group pyproject.toml:test -c requirements.txt -o tests/requirements.txt

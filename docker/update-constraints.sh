#!/usr/bin/env bash
# Writes docker/constraints.txt: the exact set that `make setup` installs, each file by its hash. What is there
# stays as it is where setup.cfg and constraints.in allow it.
#   docker/update-constraints.sh                    after a change of setup.cfg or constraints.in
#   docker/update-constraints.sh --upgrade          the newest of all; -P numpy: of one
# Look at what has changed, then run `make setup check` before it is committed.
set -euo pipefail
cd "$(dirname "$0")/.."

UV=$(command -v uv || true)
if [ -z "$UV" ]; then
  tools=$(mktemp -d)
  trap 'rm -rf "$tools"' EXIT
  python3 -m venv "$tools"
  "$tools/bin/pip" install -qq uv
  UV=$tools/bin/uv
fi
"$UV" pip compile setup.cfg docker/constraints.in --extra train --extra dev --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command docker/update-constraints.sh \
  --output-file docker/constraints.txt --quiet "$@"

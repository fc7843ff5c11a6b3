#!/usr/bin/env bash
# Writes docker/constraints.txt: the exact set that `make setup` installs, each file by its hash. What is there
# stays as it is where setup.cfg and constraints.in allow it. And docker/constraints-gpu.txt: what `make setup GPU=1`
# takes besides (TensorFlow with CUDA and its libraries), all else being the same. And docker/dev-only.txt: the
# packages that nothing but the extra `dev` needs.
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

compile() {
  "$UV" pip compile setup.cfg docker/constraints.in --extra dev --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command docker/update-constraints.sh --quiet "$@"
}

LOCK=docker/constraints.txt GPU_LOCK=docker/constraints-gpu.txt
compile --extra train --output-file $LOCK "$@"
compile --extra train-gpu --constraint $LOCK --output-file $GPU_LOCK "$@"
# Only what the first does not have.
awk '/^[A-Za-z0-9]/ { name = $1; sub(/[=[].*/, "", name); old = FNR == NR ? known[name] = 1 : name in known }
  FNR < NR && (!old || /^#/)' $LOCK $GPU_LOCK >$GPU_LOCK.new
mv $GPU_LOCK.new $GPU_LOCK

names() { sed -n 's/^\([a-z0-9][a-z0-9.-]*\).*==.*/\1/p' | sort; }
comm -23 <(names <$LOCK) <("$UV" pip compile setup.cfg docker/constraints.in --extra train --constraint $LOCK \
  --python-version 3.11 --no-annotate --no-header --quiet | names) >docker/dev-only.txt

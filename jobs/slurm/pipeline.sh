#!/bin/bash
# Submits the whole way: label, train, map, evaluate, each waiting for the one before.
#     jobs/slurm/pipeline.sh --run RUN --scenes scenes/
# `jobs/slurm/pipeline.sh --help` says what else can be given. Start it in the checkout, or say where that is. What
# each job gets (nodes, GPUs, time) is in its own file; edit here what is the same for all.
set -euo pipefail
SBATCH=() # (--sbatch "--partition=batch --account=ice")

POLYNYA=${POLYNYA:-$PWD}
VENV=${VENV:-$POLYNYA/.venv}

export POLYNYA VENV PYTHONPATH=$POLYNYA
exec "$VENV/bin/python" -m jobs.slurm.pipeline "${SBATCH[@]}" "$@"

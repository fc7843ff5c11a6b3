#!/bin/sh
# Tells Spark which GPUs a worker's machine has, or which a batch system gave the job that runs the worker:
#   spark.worker.resource.gpu.amount           8
#   spark.worker.resource.gpu.discoveryScript  /path/to/jobs/discover_gpus.sh
# docs/gpus.md says what else belongs to it.
gpus=${CUDA_VISIBLE_DEVICES-$(nvidia-smi --query-gpu=index --format=csv,noheader | paste -sd, -)}
printf '{"name": "gpu", "addresses": [%s]}\n' "$(printf '%s' "$gpus" | sed 's/[^,]*[^,]/"&"/g; s/ //g')"

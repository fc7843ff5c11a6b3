#!/bin/sh
# Says who may take part in an elastic training, one "host:processes" a line; horovodrun asks every second.
#   POLYNYA_HOSTS=hosts.txt horovodrun -np 2 --min-np 1 --max-np 4 --host-discovery-script jobs/discover_hosts.sh \
#       python -m jobs.train --trust-network …
# On one machine `python -m jobs.train --ranks 4 --min-ranks 1` needs none of this.
# The file may change while the training runs. Under Slurm this does instead:
#   scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/:8/'
# When a process dies Horovod leaves its whole host out for a while, so to try this on one machine, as is done
# without a file, the machine needs a name for each process.
if [ -n "$POLYNYA_HOSTS" ]; then
    cat "$POLYNYA_HOSTS"
else
    printf 'localhost:1\n127.0.0.1:1\n'
fi

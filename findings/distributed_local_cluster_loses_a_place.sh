#!/usr/bin/env bash
# distributed: a LocalCluster whose worker is killed twice within 15 s has one worker less from then on.
#
# Guess:     the nanny restarts a killed worker as often as needed; a cluster of two has two again.
# Behaviour: after the first loss, SpecCluster asks 15 s later (`distributed.deploy.lost-worker-timeout`)
#            whether a worker of that name is there. If its successor was itself just killed, none is,
#            although the nanny is starting the next one: the cluster closes the nanny for good. Nothing
#            is logged as an error, `cluster.workers` has one entry, and no setting makes up for it but
#            `cluster.scale(2)`, called by the program.
# Matters:   batch programs on machines that kill processes (memory limits, preemption) slow down kill by
#            kill until no worker is left and all remaining tasks wait without an end.
# Packages:  distributed 2026.8.0 (dask 2026.8.0); Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'distributed==2026.8.0' 'dask==2026.8.0'
cat > "$work/twice.py" <<'PY'
import logging
import os
import signal
import time

import distributed
from distributed import LocalCluster


def wait_for(cluster, count, seconds):
    end = time.monotonic() + seconds
    while len(cluster.scheduler.workers) != count and time.monotonic() < end:
        time.sleep(0.05)
    return len(cluster.scheduler.workers)


def main():
    print(f"guess: two workers again after each kill; distributed {distributed.__version__}")
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        memory_limit=0, silence_logs=logging.CRITICAL,
    )
    assert wait_for(cluster, 2, 60) == 2
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    killed = time.monotonic()
    wait_for(cluster, 1, 10)
    replaced = wait_for(cluster, 2, 13)
    print("after the first kill:", replaced)
    assert replaced == 2
    time.sleep(max(0, killed + 14.9 - time.monotonic()))
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    time.sleep(30)
    left = len(cluster.scheduler.workers)
    print("30 s after the second kill:", left, "names:", sorted(cluster.workers))
    assert left == 1 and sorted(cluster.workers) == [1]
    cluster.close()


if __name__ == "__main__":
    main()
PY
"$work/venv/bin/python" "$work/twice.py" 2> /dev/null
# Seen:
#   guess: two workers again after each kill; distributed 2026.8.0
#   after the first kill: 2
#   30 s after the second kill: 1 names: [1]

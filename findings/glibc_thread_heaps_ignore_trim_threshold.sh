#!/usr/bin/env bash
# Freed memory is kept for the main thread only: what worker threads free goes back to the system,
# whatever the trim threshold is, and is faulted in again for each frame (glibc).
#
# Setting: frames of a clip are computed by two threads, each with its own temporary arrays of tens of
# megabytes. So that they are not faulted in again for every frame, MALLOC_MMAP_THRESHOLD_ and
# MALLOC_TRIM_THRESHOLD_ are raised (mallopt's M_MMAP_MAX=0 and M_TRIM_THRESHOLD=-1 do the same).
#
# What one would guess: the settings are the process's. Faults end after the first frame, in every thread.
#
# What happens: they end in the main thread. Other threads get arenas of their own, made of heaps of 64 MiB
# that are mapped one by one; as soon as nothing is left in the last one it is unmapped, and the trim
# threshold is not asked. Of two arrays of 40 MiB, the second is faulted in for every frame, for ever
# (500 faults where the kernel maps up to 128 KiB at once, 10,000 where it maps pages): in the clip, a
# third of one thread's time. In the main thread, and in programs that compute frames one by one,
# nothing is seen. MALLOC_ARENA_MAX=1 lets all threads share the first heap, and ends it.
#
# Seen with glibc 2.36 on Linux 6.18 (x86-64), numpy 2.3.5, Python 3.11.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'numpy==2.3.5'
cat >"$dir/frames.py" <<'PY'
import resource
import sys
import threading

import numpy as np


def frame():
    return np.ones(40 << 20, np.uint8), np.ones(40 << 20, np.uint8)


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def work():
    frame()
    before = faults()
    for _ in range(10):
        frame()
    print((faults() - before) // 10)


if sys.argv[1] == "main":
    work()
else:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
PY
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=4000000000
"$dir/venv/bin/python" -c 'import os, numpy; print(os.confstr("CS_GNU_LIBC_VERSION"), "numpy", numpy.__version__)'
echo "guess: no faults in the main thread, none in others"
main=$("$dir/venv/bin/python" "$dir/frames.py" main)
thread=$("$dir/venv/bin/python" "$dir/frames.py" thread)
shared=$(MALLOC_ARENA_MAX=1 "$dir/venv/bin/python" "$dir/frames.py" thread)
echo "page faults a frame: main thread $main, another thread $thread, with MALLOC_ARENA_MAX=1 $shared"
if ((main < 100 && thread > 300 && shared < 100)); then
    echo "as described"
else
    echo "this has changed" && exit 1
fi

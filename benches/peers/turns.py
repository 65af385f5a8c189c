"""The dialogue with `cargo xtask bench`, which decides who works when.

    stdout: {"ready": true}          after setting up
    stdin:  an empty line            do it once more
    stdout: {"seconds": 1.25, ..}
    stdin:  end of file              stop
    stdout: {"peak_rss_bytes": ..}
"""

import json
import sys
import time


def take(work):
    """Does `work` once for every line of stdin; what it returns is merged into the answer."""
    say({"ready": True})
    for _ in sys.stdin:
        start, cpu_before = time.perf_counter(), time.process_time()
        answer = work()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_before
        say({**answer, "seconds": seconds, "cpu_seconds": cpu_seconds})
    say({"peak_rss_bytes": peak_rss_bytes()})


def say(answer):
    print(json.dumps(answer), flush=True)


def peak_rss_bytes():
    """The largest resident set so far; None where the kernel does not tell."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None

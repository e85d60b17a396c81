"""Watches one APIGW from a process of its own: how fast it answers, what memory processes hold.

    python sampler.py PORT PID...

Samples until its standard input ends, then prints one line of JSON. Not a thread of the tests: it
would measure how busy pytest is.
"""

import http.client
import json
import select
import sys
import time
from pathlib import Path

#: Seconds between two samples.
PAUSE = 0.02


def resident(pid: int) -> int:
    """Bytes of resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise ProcessLookupError(pid)


def ask(connection: http.client.HTTPConnection) -> float:
    """Seconds that `/-/live` took."""
    start = time.perf_counter()
    connection.request("GET", "/-/live")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return time.perf_counter() - start


def main(port: int, pids: list[int]) -> None:
    """Sample and report."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    first = {pid: resident(pid) for pid in pids}
    most = dict(first)
    began = time.perf_counter()
    answers: list[dict[str, float]] = []
    asleep = began
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        at = time.perf_counter()
        late = at - asleep - PAUSE
        answers.append({"at": at - began, "late": late, "took": ask(connection)})
        most = {pid: max(held, resident(pid)) for pid, held in most.items()}
        asleep = time.perf_counter()
    slowest = sorted(answers, key=lambda answer: -answer["took"])[:10]
    growth = {pid: most[pid] - first[pid] for pid in pids}
    print(json.dumps({"samples": len(answers), "slowest": slowest, "growth": growth}))


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])

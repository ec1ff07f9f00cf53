#!/usr/bin/python3
"""Well-behaved clients beside hostile ones, on a gateway of one worker.

The gateway has the last core for itself; the well-behaved client and the services run with real-time priority on the
others, so that what is measured is the gateway and not the crowd of attackers that shares those cores. Each attack is
measured between two quiet times. It fails if the median or the 99th percentile of the latencies is more than three times the
quiet one (and more than a millisecond, below which the machine's own noise is larger), if a request of the well-behaved
client fails, or if the gateway's memory grows past its limit.

    attacks.py [--seconds N] [--only NAME,...]
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("LAB_NAME", "attacks")
from tests.e2e import shop  # noqa: E402
from tests.e2e.conftest import GATEWAY, HTTP, LAB, Gateway, script, wait_for  # noqa: E402
from tests.lab import netns, service  # noqa: E402
from tests.perf.attack import ATTACKS  # noqa: E402

LIMIT_MIB = 200
# What no attack may do without, so that it shows within seconds.
HTTP_SPEC = "  http: {headTimeout: 5s, bodyRateWindow: 3s}\n"
ASKED = "checkout"
ASK = b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\n\r\n"


def urgent():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))


def prefer(pid):
    """Other work on this machine is not what is measured."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(thread), -20)


def ask(stream):
    """One request and its answer on a kept connection."""
    stream.write(ASK)
    stream.flush()
    line = stream.readline()
    if not line.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"answer {line!r}")
    length = 0
    while (line := stream.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    stream.read(length)


def well_behaved(seconds):
    """Latencies in ms of requests one after the other, every tenth on a connection of its own; and how many failed."""
    latencies, failed, stream = [], 0, None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            if stream is None or len(latencies) % 10 == 0:
                if stream is not None:
                    stream.close()
                with netns.connect(f"{LAB}-client", (GATEWAY, HTTP), 10) as s:
                    stream = s.makefile("rwb")
            ask(stream)
            latencies.append((time.monotonic() - began) * 1000)
        except OSError:
            failed += 1
            stream = None
        time.sleep(0.002)
    if stream is not None:
        stream.close()
    return sorted(latencies), failed


def in_process(function, *arguments):
    ours, theirs = multiprocessing.Pipe()

    def run():
        urgent()
        theirs.send(function(*arguments))

    process = multiprocessing.Process(target=run)
    process.start()
    result = ours.recv()
    process.join()
    return result


def serve(names, at_once):
    if at_once:
        urgent()
    service.Services(f"{LAB}-svc", {name: shop.SERVICES[name] for name in names})
    signal.pause()


def attack(function, stop):
    # Any other work on its core goes first, the kernel's on behalf of the well-behaved client above all.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    netns.enter(f"{LAB}-client")
    while not stop.is_set():
        with contextlib.suppress(OSError):
            function(stop)


class Measure:
    def __init__(self, gateway, latencies, failed):
        self.n, self.failed = len(latencies), failed
        self.median = latencies[self.n // 2] if latencies else float("inf")
        self.p99 = latencies[self.n * 99 // 100] if latencies else float("inf")
        self.memory = gateway.memory_kib() / 1024


def is_worse(attacked, quiet):
    return any(
        there > 3 * here and there - here > 1.0
        for there, here in ((attacked.median, quiet.median), (attacked.p99, quiet.p99))
    )


def changed(before, after, names):
    found = []
    for name in names:
        n = after.sum(name) - before.sum(name)
        found.append(f"{name.removeprefix('pollgate_').removesuffix('_total')} {n:+.0f}")
    return ", ".join(found)


def measure_attack(gateway, one, seconds):
    before = gateway.metrics()
    stop = multiprocessing.Event()
    attackers = [multiprocessing.Process(target=attack, args=(one.run, stop)) for _ in range(one.processes)]
    for a in attackers:
        a.start()
    time.sleep(1)
    try:
        attacked = Measure(gateway, *in_process(well_behaved, seconds))
        # A limit that takes time to be found.
        wait_for(lambda: all(gateway.metrics().sum(c) > before.sum(c) for c in one.counters), f"{one.name} counted")
        said = changed(before, gateway.metrics(), one.counters)
    finally:
        stop.set()
        for a in attackers:
            a.join(5)
            if a.is_alive():
                a.kill()
                a.join()
    wait_for(gateway.is_quiet, f"no request left after {one.name}")
    return attacked, said


def show(name, m, base, said=""):
    ratio = f"{m.median / base.median:5.1f} {m.p99 / base.p99:5.1f}" if base else "    -     -"
    print(f"  {name:22} {m.n:6} {m.failed:4} {m.median:8.2f} {m.p99:8.2f} {ratio} {m.memory:6.0f}  {said}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    chosen = [a for a in ATTACKS if not arguments.only or a.name in arguments.only.split(",")]
    core = script("lab", "core", "gateway")
    os.sched_setaffinity(0, {int(c) for c in script("lab", "core", "rest").split(",")})
    run_dir = pathlib.Path(tempfile.mkdtemp(prefix="pollgate-attacks-"))
    failures, services, gateway = [], [], None
    script("lab", "up")
    try:
        # What an attack sends through to a service is that service's work; the well-behaved client's has its own process.
        for names, at_once in (({ASKED}, True), (shop.SERVICES.keys() - {ASKED}, False)):
            services.append(multiprocessing.Process(target=serve, args=(names, at_once)))
            services[-1].start()
        shop.write(run_dir / "config", core, spec=HTTP_SPEC)
        gateway = Gateway(run_dir, core).start()
        prefer(gateway.process.pid)
        in_process(well_behaved, 1)
        print(f"  {'':22} {'asked':>6} {'fail':>4} {'median':>8} {'p99 ms':>8} {'ratios':>11} {'MiB':>6}  counted")
        for one in chosen:
            quiet = Measure(gateway, *in_process(well_behaved, arguments.seconds))
            show("quiet", quiet, None)
            attacked, said = measure_attack(gateway, one, arguments.seconds)
            show(one.name, attacked, quiet, said)
            if is_worse(attacked, quiet) or attacked.failed > 0 or attacked.memory > LIMIT_MIB:
                failures.append(one.name)
        if gateway.stop() != 0:
            failures.append("the gateway's end")
    finally:
        with contextlib.suppress(BaseException):
            if gateway is not None:
                gateway.stop()
        for process in services:
            process.terminate()
            process.join()
        script("lab", "down")
        shutil.rmtree(run_dir)
    if failures:
        sys.exit(f"attacks: beyond the bounds: {', '.join(failures)}")
    print("attacks: all within three times the quiet latency, and within the memory's limit")


if __name__ == "__main__":
    main()

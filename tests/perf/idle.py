#!/usr/bin/python3
"""Idle connections by the hundred thousand, on a gateway of one worker.

Clients open connections, cleartext, TLS, and HTTP/2 over TLS, ask once on each, and hold them. Printed is what an idle
connection costs in memory and in time of the core, and what a well-behaved client has beside few and beside all of them. It
fails if a connection is refused, closed or evicted, if they take more than a twentieth of the core, or if the well-behaved
client has less than a third of the requests beside all of them. Then the same with less room than is asked for: every request is
answered, and each connection that has to go is counted.

    idle.py [--connections N] [--tls N] [--h2 N] [--memory LIMIT] [--seconds N]
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import resource
import select
import shutil
import socket
import ssl
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("LAB_NAME", "idle")
from tests.e2e import shop  # noqa: E402
from tests.e2e.conftest import GATEWAY, HTTP, HTTPS, LAB, Gateway, run_in, script, wait_for  # noqa: E402
from tests.lab import netns  # noqa: E402
from tests.perf import attack  # noqa: E402
from tests.perf import run as perf  # noqa: E402
from tests.perf.attacks import in_process, prefer, well_behaved  # noqa: E402

FEW = 1000
OF_A_PROCESS = 12500  # a process may have this many files nearly everywhere
AT_ONCE = 64  # connections that a process opens at the same time
ASK = b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\n\r\n"
FIRST_SOURCE, N_SOURCES = 100, 120  # addresses of clients, one for each process
LOOK = 35  # seconds, more than there are from one look at an idle connection to the next
MOST_BUSY = 0.05  # of the core, without requests
EVICTED, REFUSED = "pollgate_downstream_evicted_total", "pollgate_downstream_address_overflow_total"
# Counters that no connection which is held may move.
LOSSES = (
    EVICTED,
    REFUSED,
    "pollgate_downstream_pool_empty_total",
    "pollgate_exchange_pool_empty_total",
    "pollgate_tls_refused_full_total",
    "pollgate_tls_memory_fallbacks_total",
    "pollgate_tcp_drop_no_connection_total",
    "envoy_listener_downstream_cx_overflow",
)


class Opening:
    """A connection on its way to its answer."""

    ask = ASK

    def __init__(self, source, context):
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: a port is good for more than one destination
        s.bind((source, 0))
        with contextlib.suppress(BlockingIOError):
            s.connect((GATEWAY, HTTPS if context else HTTP))
        self.socket, self.context, self.sent, self.answer = s, context, False, b""

    def advance(self):
        """Returns true when the answer is here; OSError (ssl.SSLError too) if the connection ended."""
        try:
            if not self.sent:
                if self.context:
                    self._shake_hands()
                self.socket.send(self.ask)
                self.sent = True
            while True:
                part = self.socket.recv(16384)
                if not part:
                    raise OSError("ended")
                self.answer += part
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        return self.is_answered()

    def is_answered(self):
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            raise OSError(f"answer {head[:100]!r}")
        return len(body) == int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))

    def _shake_hands(self):
        if not isinstance(self.socket, ssl.SSLSocket):
            self.socket.getpeername()  # OSError until it is connected
            self.socket = self.context.wrap_socket(
                self.socket, server_hostname="shop.example", do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
        self.socket.do_handshake()

    def keep(self):
        """The socket, of which no more than the kernel's part is kept."""
        return socket.socket(fileno=self.socket.detach()) if self.context else self.socket


class OpeningH2(Opening):
    ask = attack.PREFACE + attack.frame(attack.SETTINGS, 0, 0) + attack.frame(attack.SETTINGS, 1, 0)
    ask += attack.frame(attack.HEADERS, attack.END_STREAM | attack.END_HEADERS, 1, attack.head(b"/checkout"))

    def is_answered(self):
        at = 0
        while at + 9 <= len(self.answer):
            end = at + 9 + int.from_bytes(self.answer[at : at + 3], "big")
            kind, flags = self.answer[at + 3 : at + 5]
            if end <= len(self.answer) and kind in (attack.DATA, attack.HEADERS) and flags & attack.END_STREAM:
                return True
            at = end
        return False


class Crowd:
    """One process of clients with an address of its own. What it is told: a number to open, 'held', or None for its end."""

    def __init__(self, source, ca, alpn):
        resource.setrlimit(resource.RLIMIT_NOFILE, (OF_A_PROCESS + 1000,) * 2)
        netns.enter(f"{LAB}-client")
        self.source, self.kept = source, {}
        self.poll = select.epoll()
        self.context, self.opening = None, OpeningH2 if alpn == "h2" else Opening
        if ca:
            self.context = ssl.create_default_context(cafile=ca)
            self.context.set_alpn_protocols((alpn,))

    def open(self, n):
        """Returns how many were answered, and what was said of the others."""
        opening, answered, failures = {}, 0, []
        while n > 0 or opening:
            while n > 0 and len(opening) < AT_ONCE:
                n -= 1
                try:
                    new = self.opening(self.source, self.context)
                except OSError as error:
                    failures.append(str(error))
                    continue
                opening[new.socket.fileno()] = new
                self.poll.register(new.socket, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
            for fd, events in self.poll.poll(60):
                if fd not in opening:
                    self._look(fd)
                    continue
                if not events & (select.EPOLLOUT | select.EPOLLERR):
                    continue  # not connected yet
                try:
                    if not opening[fd].advance():
                        continue
                    self.kept[fd] = opening.pop(fd).keep()
                    self.poll.modify(fd, select.EPOLLIN | select.EPOLLRDHUP)
                    answered += 1
                except OSError as error:
                    failures.append(str(error))
                    opening.pop(fd).socket.close()
        return answered, failures

    def _look(self, fd):
        with contextlib.suppress(OSError):
            if self.kept[fd].recv(16384):  # a close_notify comes before the end
                return
        self.kept.pop(fd).close()

    def held(self):
        while found := self.poll.poll(0):
            for fd, _ in found:
                self._look(fd)
        return len(self.kept)

    def close(self):
        for s in self.kept.values():
            netns.reset_at_close(s)
            s.close()


def be_crowd(pipe, source, ca, alpn):
    crowd = Crowd(source, ca, alpn)
    while (word := pipe.recv()) is not None:
        pipe.send(crowd.held() if word == "held" else crowd.open(word))
    crowd.close()


class Crowds:
    def __init__(self, first_source, ca=None, alpn="http/1.1"):
        self.first_source, self.ca, self.alpn, self.members = first_source, ca, alpn, []
        self.n = 0

    def grow(self, to):
        """Until 'to' connections were opened in all; returns how many of the new ones were answered, and what the others met."""
        work, answered, failures = [], 0, []
        while self.n < to:
            of_last = self.n % OF_A_PROCESS
            if of_last == 0:
                self._add()
            n = min(to - self.n, OF_A_PROCESS - of_last)
            self.members[-1][1].send(n)
            work.append(self.members[-1][1])
            self.n += n
        for pipe in work:
            more, failed = pipe.recv()
            answered += more
            failures += failed
        return answered, failures

    def _add(self):
        ours, theirs = multiprocessing.Pipe()
        source = f"10.77.1.{self.first_source + len(self.members)}"
        process = multiprocessing.Process(target=be_crowd, args=(theirs, source, self.ca, self.alpn))
        process.start()
        self.members.append((process, ours))

    def held(self):
        for _, pipe in self.members:
            pipe.send("held")
        return sum(pipe.recv() for _, pipe in self.members)

    def close(self):
        for process, pipe in self.members:
            with contextlib.suppress(OSError):
                pipe.send(None)
            process.join(60)
            if process.is_alive():
                process.kill()
                process.join()
        self.members, self.n = [], 0


def show(what, value):
    print(f"  {what:46} {value}", flush=True)


def measure_client(name, seconds):
    n, p99 = perf.wrk(seconds)
    latencies, failed = in_process(well_behaved, seconds)
    at = lambda share: latencies[int(len(latencies) * share)]  # noqa: E731
    show(
        f"client beside {name}",
        f"{n / seconds:.0f} requests/s (99 %: {p99}); one by one {at(0.5):.2f} ms, 99 % {at(0.99):.2f} ms, most {latencies[-1]:.2f} ms",
    )
    if failed:
        sys.exit(f"idle: {failed} requests of the well-behaved client failed")
    return n / seconds


def losses(gateway):
    m = gateway.metrics()
    return {name: m.sum(name) for name in LOSSES if any(n == name for n, _, _ in m.samples)}


def grow(crowd, to):
    """All have to be answered; returns how many a second were."""
    began, n = time.monotonic(), to - crowd.n
    _, failures = crowd.grow(to)
    if failures:
        sys.exit(f"idle: {len(failures)} of {n} connections had no answer: {', '.join(failures[:3])}")
    return n / (time.monotonic() - began)


def measure(gateway, crowd, n, seconds, kind):
    """Opens and holds 'n' connections, besides those that are held already."""
    others = int(gateway.metrics().sum("pollgate_downstream_connections"))
    before, memory, tls = losses(gateway), gateway.memory_kib(), gateway.metrics().sum("pollgate_tls_memory_used")
    print(f"{n} idle {kind} connections", flush=True)
    grow(crowd, min(FEW, n))
    few = measure_client(others + crowd.n, seconds)
    show("opened, each with a request", f"{grow(crowd, n):.0f} a second")
    show("resident memory of the gateway", f"{gateway.memory_kib() >> 10} MiB, {memory >> 10} MiB before")
    m = gateway.metrics()
    if kind != "cleartext":
        show("OpenSSL's and nghttp2's memory of one", f"{(m.sum('pollgate_tls_memory_used') - tls) / n:.0f} bytes")
    show("packet buffers in use", f"{m.sum('pollgate_mbufs_in_use'):.0f}")
    many = measure_client(others + n, seconds)
    busy = gateway.share_of_core(LOOK)
    show("gateway without requests", f"{busy:.1%} of a core")
    for words in (("connections", "idle=1", "limit=5000"), ("reload",), ("status",)):
        began = time.monotonic()
        text = gateway.ctl(*words).stdout
        show(f"pollgatectl {' '.join(words)}", f"{time.monotonic() - began:.2f} s, {len(text)} bytes")
    held, after = crowd.held(), losses(gateway)
    show("held", held)
    failures = []
    if held != n or after != before:
        lost = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        failures.append(f"{n - held} of {n} {kind} connections were lost: {lost}")
    if many < few / 3:
        failures.append(f"{many:.0f} requests/s beside {n} {kind} connections, {few:.0f} beside {FEW}")
    if busy > MOST_BUSY:
        failures.append(f"{n} idle {kind} connections take {busy:.1%} of a core")
    return failures


def measure_end(gateway):
    """Told to stop, the gateway closes all that is idle, cutting nothing."""
    began = time.monotonic()
    status = gateway.stop(drain=True)
    said = re.search(r"drained \((.*)\)", gateway.output()).group(1)
    show("stop", f"{time.monotonic() - began:.1f} s: {said}")
    return [] if status == 0 and said.endswith("requests_cut=0 connections_cut=0") else [f"the end: {status}, {said}"]


def measure_limits(gateway, crowd, n, kind, beside=(), spared=False):
    """More than there is room for: all are answered, and those that make room are counted. Others beside them are 'spared'."""
    new = n - crowd.n
    evicted_before, beside_before = gateway.metrics().sum(EVICTED), sum(c.held() for c in beside)
    answered, failures = crowd.grow(n)
    evicted = gateway.metrics().sum(EVICTED) - evicted_before

    def held():
        return crowd.held() + sum(c.held() for c in beside)

    wait_for(lambda: held() + evicted <= n + beside_before, "those that made room know")
    show(f"{new} {kind} connections", f"{answered} answered, {crowd.held()} held, {evicted:.0f} made room")
    if failures or evicted == 0 or held() + evicted != n + beside_before or (spared and sum(c.held() for c in beside) != beside_before):
        return [f"of {new} {kind} connections {answered} were answered, {held()} are held, {evicted:.0f} made room: {failures[:3]}"]
    return []


def measure_refusals(gateway, crowd, n, most):
    before = gateway.metrics().sum(REFUSED)
    answered, failures = crowd.grow(n)
    refused = gateway.metrics().sum(REFUSED) - before
    show(f"{n} of an address that may have {most}", f"{answered} answered, {refused:.0f} refused")
    if answered != most or refused < n - most or crowd.held() != most:
        return [f"of {n} connections of an address that may have {most} {answered} were answered, {refused:.0f} refused"]
    return []


@contextlib.contextmanager
def services(run_dir, cores):
    listen = " ".join(f"listen {a}:8080;" for a in perf.BACKENDS)
    (run_dir / "backend.conf").write_text(perf.BACKEND.format(run=run_dir, name="backend", listen=listen))
    run_dir.chmod(0o755)
    with open(run_dir / "backend.log", "wb") as log:
        process = perf.spawn("svc", cores, log, "nginx", "-c", str(run_dir / "backend.conf"))
    try:
        wait_for(lambda: perf.answers("svc", f"http://{perf.BACKENDS[0]}:8080/checkout"), "the services answer")
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def gateway_with(run_dir, core, http, **options):
    shop.write(run_dir / "config", core, spec=f"  http: {{{http}}}\n", **options)
    gateway = Gateway(run_dir, core).start()
    ca = str(run_dir / "config/ca.crt")
    crowds = Crowds(FIRST_SOURCE), Crowds(FIRST_SOURCE + 40, ca), Crowds(FIRST_SOURCE + 80, ca, "h2")
    prefer(gateway.process.pid)
    try:
        yield gateway, *crowds
        if gateway.stop() != 0:
            sys.exit(f"idle: the gateway's end: {gateway.output()[-4000:]}")
    finally:
        for crowd in crowds:
            crowd.close()
        with contextlib.suppress(BaseException):
            gateway.stop()


def measure_room(gateway, crowd, other, kind, name):
    """As many as 'status' tells, and no more."""
    room = json.loads(gateway.ctl("status").stdout)["room_of_a_worker"]
    grow(other, 2000)
    failures = measure_limits(gateway, crowd, 2 * room[name], kind, beside=(other,), spared=True)
    held = crowd.held()
    if held != room[name]:
        failures.append(f"{held} {kind} connections where there is room for {room[name]}")
    failures += measure_limits(gateway, other, 2 * room["connections"], "cleartext", beside=(crowd,))
    held = crowd.held() + other.held()
    if held != room["connections"]:
        failures.append(f"{held} connections where there is room for {room['connections']}")
    if fallbacks := gateway.metrics().sum("pollgate_tls_memory_fallbacks_total"):
        failures.append(f"{fallbacks:.0f} allocations beyond the arena")
    return failures


def measure_all(run_dir, core, arguments):
    failures = []
    n, n_tls, n_h2 = arguments.connections, arguments.tls, arguments.h2
    most = n + n_tls + n_h2 + 10000
    with gateway_with(run_dir, core, f"maxConnections: {most}", memory=arguments.memory, drain="9s") as (gateway, *crowds):
        print(gateway.output(), flush=True)
        for crowd, of_it, kind in zip(crowds, (n, n_tls, n_h2), ("cleartext", "TLS", "HTTP/2")):
            if of_it > 0:
                failures += measure(gateway, crowd, of_it, arguments.seconds, kind)
        failures += measure_end(gateway)
    print("less room than is asked for", flush=True)
    with gateway_with(run_dir, core, "maxConnections: 2000") as (gateway, crowd, tls, _):
        failures += measure_limits(gateway, crowd, 5000, "cleartext")
        failures += measure_limits(gateway, tls, 3000, "TLS", beside=(crowd,))
    with gateway_with(run_dir, core, "maxConnections: 1000000") as (gateway, crowd, tls, _):
        failures += measure_room(gateway, tls, crowd, "TLS", "tls_connections")
    with gateway_with(run_dir, core, "maxConnections: 1000000") as (gateway, crowd, _, h2):
        failures += measure_room(gateway, h2, crowd, "HTTP/2", "tls_http2_connections")
    with gateway_with(run_dir, core, "maxConnectionsPerAddress: 100") as (gateway, crowd, *_):
        failures += measure_refusals(gateway, crowd, 300, 100)
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=100000)
    parser.add_argument("--tls", type=int, default=20000)
    parser.add_argument("--h2", type=int, default=4000)
    parser.add_argument("--memory", default="3Gi")
    parser.add_argument("--seconds", type=int, default=5)
    arguments = parser.parse_args()
    core = script("lab", "core", "gateway")
    rest = {int(c) for c in script("lab", "core", "rest").split(",")}
    os.sched_setaffinity(0, rest)
    run_dir = pathlib.Path(tempfile.mkdtemp(prefix="pollgate-idle-"))
    script("lab", "up")
    try:
        for i in range(N_SOURCES):
            run_in("client", "ip", "addr", "add", f"10.77.1.{FIRST_SOURCE + i}/24", "dev", "ca")
        with services(run_dir, rest):
            failures = measure_all(run_dir, core, arguments)
    finally:
        script("lab", "down")
        shutil.rmtree(run_dir)
    if failures:
        sys.exit("idle: " + "; ".join(failures))
    print("idle: all held")


if __name__ == "__main__":
    main()

"""Fixtures: the lab, its services, and a gateway in it.

The gateway runs on the last core, everything else on the others; with WORKERS=n it has n workers on the last n cores,
which then are everybody's. Nothing here waits for a time: wait_for() waits for a
condition and fails when a generous bound is over.
"""

import collections
import contextlib
import json
import logging
import os
import pathlib
import re
import signal
import ssl
import subprocess
import time

import pytest

from tests.e2e import shop
from tests.lab import netns, service

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / os.environ.get("VARIANT", "release")
LAB = os.environ.get("LAB_NAME", "pg")
GATEWAY, GATEWAY6 = "10.77.1.254", "fd77:1::254"
WORKERS = int(os.environ.get("WORKERS", "1"))
CORES = sorted(os.sched_getaffinity(0))  # before the fixture 'core' leaves one to the gateway
HTTP, HTTPS = 8080, 8443
HTTP_URL, HTTPS_URL = f"http://shop.example:{HTTP}", f"https://shop.example:{HTTPS}"
logging.getLogger("scapy").setLevel(logging.ERROR)  # of warnings when it is imported


def wait_for(condition, what, bound=60):
    """Returns the first true value of condition(); the bound is for broken cases only."""
    end = time.monotonic() + bound
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {bound} s: {what}"
        time.sleep(0.02)


def script(name, *arguments):
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.strip()


def run_in(namespace, *command, check=True):
    """Runs a command in one of the lab's namespaces, which has to succeed; returns what it printed."""
    with netns.inside(f"{LAB}-{namespace}"):
        answer = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert not check or answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@contextlib.contextmanager
def frames_on_the_wire():
    """What leaves by the gateway's "ga" is cut and has its checksums, as by a NIC; else large packets stay whole between two
    interfaces of one kernel."""
    features = ("tso", "gso", "tx", "sg")
    run_in("gw", "ethtool", "-K", "ga", *(word for f in features for word in (f, "off")))
    try:
        yield
    finally:
        run_in("gw", "ethtool", "-K", "ga", *(word for f in reversed(features) for word in (f, "on")))


def ping(address, *arguments, count=2):
    """From the client; each is answered."""
    return run_in("client", "ping", "-c", str(count), "-i", "0.2", "-w", "30", *arguments, address)


@contextlib.contextmanager
def server(address, *command):
    """A program that listens there among the services."""
    with netns.inside(f"{LAB}-svc"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: netns.accepts(f"{LAB}-svc", address), f"{command[0]} listens")
        yield
    finally:
        process.terminate()
        process.wait(60)


class Metrics:
    """One reading of /stats/prometheus."""

    LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
    LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = self.LINE.match(line).groups()
                self.samples.append((name, dict(self.LABEL.findall(labels or "")), float(value)))

    def sum(self, name, **labels):
        found = [
            v for n, have, v in self.samples if n == name and all(have.get(k) == w for k, w in labels.items())
        ]
        assert found or labels, f"no metric {name}"
        return sum(found)


def by_worker(gateway, name):
    found = collections.Counter()
    for metric, labels, value in gateway.metrics().samples:
        if metric == name:
            found[labels["worker"]] += value
    return found


class Gateway:
    """There is one lab, so there is one gateway at a time: starting another one stops it."""

    running = None

    def __init__(self, directory, core, wrap=()):
        """'wrap' is put in front of the command, in its namespace."""
        self.run_dir = pathlib.Path(directory)
        self.config = self.run_dir / "config"
        self.core = core
        self.wrap = wrap
        self.process = None

    def start(self, in_child=lambda: None):
        """'in_child' runs before the command."""
        if Gateway.running is not None:
            assert Gateway.running.stop() == 0, Gateway.running.output()[-4000:]
        Gateway.running = self
        self.lines_before = len(self.access_log_lines())
        self.log = open(self.run_dir / "pollgate.log", "ab")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", f"{LAB}-gw", *self.wrap, BUILD / "pollgate", "run", "--config", self.config],
            stdout=self.log,
            stderr=self.log,
            env={**os.environ, "LSAN_OPTIONS": f"suppressions={ROOT / 'tests/lsan.supp'}:print_suppressions=0"},
            preexec_fn=lambda: (os.sched_setaffinity(0, range(os.cpu_count())), in_child()),
        )
        wait_for(self.is_ready, "gateway is ready")
        return self

    def output(self):
        return (self.run_dir / "pollgate.log").read_text(errors="replace")

    def is_ready(self):
        assert self.process.poll() is None, f"gateway ended:\n{self.output()}"
        answer = self.ctl("status", check=False)
        return answer.returncode == 0 and json.loads(answer.stdout).get("ready") is True

    def ctl(self, *words, check=True):
        answer = subprocess.run(
            [BUILD / "pollgatectl", "--socket", self.run_dir / "mgmt.sock", "--json", *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=60,
        )
        assert not check or answer.returncode == 0, answer.stdout + answer.stderr
        return answer

    @contextlib.contextmanager
    def editing(self, name):
        """Path and text of a file of the configuration that the block may change; then it is as before, and loaded."""
        path = self.config / name
        text = path.read_text()
        try:
            yield path, text
        finally:
            path.write_text(text)
            self.ctl("reload")

    def metrics(self):
        url = "http://127.0.0.1:15090/stats/prometheus"
        return Metrics(run_in("gw", "curl", "-sS", "--fail", "--max-time", "30", url))

    def access_log_lines(self):
        path = self.run_dir / "access.log"
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()  # the last line may be half written

    def access_log(self):
        return [json.loads(line) for line in self.access_log_lines()]

    def logged(self, path, after=0):
        """Waits for a line of the access log about 'path' behind the first 'after' ones; returns the newest."""

        def newest():
            return next((e for e in reversed(self.access_log()[after:]) if e["path"] == path), None)

        return wait_for(newest, f"a line in the access log about {path}")

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def _cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def share_of_core(self, seconds):
        began, cpu = time.monotonic(), self._cpu_seconds()
        time.sleep(seconds)  # what is measured is this period, whatever length it really has
        return (self._cpu_seconds() - cpu) / (time.monotonic() - began)

    def is_quiet(self):
        """No exchange is left, and the lines of those that were are in the access log."""
        if self.metrics().sum("pollgate_exchanges_active") != 0:
            return False
        lines = self.metrics().sum("pollgate_access_log_lines_total")
        return len(self.access_log_lines()) - self.lines_before == lines

    def is_serving(self):
        answer = self.ctl("status", check=False)
        return answer.returncode == 0 and json.loads(answer.stdout)["state"] == "serving"

    def stop(self, drain=False):
        """SIGTERM, and unless it shall drain, another one; returns the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if not drain:
            wait_for(lambda: self.process.poll() is not None or not self.is_serving(), "gateway drains")
        if not drain and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"gateway did not end after SIGTERM:\n{self.output()[-4000:]}")
        self._ended()
        return status

    def kill(self):
        """Ends it without a word."""
        self.process.kill()
        self.process.wait()
        self._ended()

    def _ended(self):
        self.process = None
        Gateway.running = None
        self.log.close()


class Client:
    """A user outside, in the client namespace unless told otherwise, who knows this address of the gateway."""

    def __init__(self, gateway, address=GATEWAY, namespace="client"):
        self.ca = str(gateway.config / "ca.crt")
        self.address = address
        self.namespace = f"{LAB}-{namespace}"

    def curl(self, url, *arguments, check=True, timeout=300, text=True):
        """curl with our CA and shop.example pointing at the gateway; returns the CompletedProcess."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        with netns.inside(self.namespace):
            answer = subprocess.run(
                ["curl", "-sS", "--max-time", str(timeout), "--cacert", self.ca]
                + [w for port in (HTTP, HTTPS) for w in ("--resolve", f"shop.example:{port}:{address}")]
                + [*arguments, url],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=text,
            )
        assert not check or answer.returncode == 0, answer.stderr
        return answer

    def status(self, url, *arguments, **options):
        return int(self.curl(url, "-o", "/dev/null", "-w", "%{http_code}", *arguments, **options).stdout)

    def connect(self, port=HTTP, timeout=60):
        return netns.connect(self.namespace, (self.address, port), timeout)

    def tls_context(self, alpn=("http/1.1",)):
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(alpn)
        return context

    def connect_tls(self, name="shop.example", timeout=60, alpn=("http/1.1",)):
        return self.tls_context(alpn).wrap_socket(self.connect(HTTPS, timeout), server_hostname=name)

    def popen(self, *command, **options):
        with netns.inside(self.namespace):
            return subprocess.Popen(command, **options)


def read_to_end(sock):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


class Response:
    """One HTTP/1.1 answer read from a file object of a socket."""

    def __init__(self, stream, method="GET"):
        line = stream.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        self.status = int(line.split()[1])
        self.headers = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            key, _, value = line.decode("latin-1").rstrip("\r\n").partition(": ")
            self.headers[key.lower()] = value
        self.trailers = {}
        if method == "HEAD" or self.status in (204, 304) or self.status < 200:
            self.body = b""
        elif self.headers.get("transfer-encoding") == "chunked":
            self.body = b""
            while size := int(stream.readline(), 16):
                self.body += stream.read(size)
                assert stream.read(2) == b"\r\n"
            while (line := stream.readline()) not in (b"\r\n", b""):
                key, _, value = line.decode().rstrip("\r\n").partition(": ")
                self.trailers[key.lower()] = value
        else:
            self.body = stream.read(int(self.headers["content-length"]))


def cores_of_workers(n):
    """The cores of a gateway with 'n' workers, as its configuration says it."""
    if len(CORES) < n:
        pytest.skip(f"{n} workers need {n} cores")
    return ",".join(str(c) for c in CORES[-n:])


@pytest.fixture(scope="session")
def core():
    if WORKERS > 1:
        return cores_of_workers(WORKERS)
    rest = {int(c) for c in script("lab", "core", "rest").split(",")}
    gateway = script("lab", "core", "gateway")
    os.sched_setaffinity(0, rest)
    return gateway


@pytest.fixture(scope="session")
def lab(core):
    script("lab", "up")
    yield
    script("lab", "down")


@pytest.fixture(scope="session")
def all_services(lab):
    services = service.Services(f"{LAB}-svc", shop.SERVICES)
    yield services
    services.stop()


@pytest.fixture
def services(all_services):
    all_services.set("*", "ok")
    all_services.reset_counts()
    yield all_services
    all_services.set("*", "ok")


def gateways(lab, core, tmp_path_factory):
    """Makes gateways: make(external=shop.DUAL_STACK, replace={...}); each has to end well."""
    made = []

    def make(core=core, wrap=(), **options):
        directory = tmp_path_factory.mktemp("gateway")
        shop.write(directory / "config", core, **options)
        made.append(Gateway(directory, core, wrap))
        return made[-1].start()

    yield make
    for gateway in made:
        assert gateway.stop() == 0, gateway.output()[-4000:]


new_gateway = pytest.fixture(gateways)  # for one test
new_shared_gateway = pytest.fixture(gateways, scope="module")  # for the tests of a file, which override shared_gateway


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway()


@pytest.fixture
def gateway(shared_gateway):
    """The module's gateway; the test fails if it leaves an exchange behind."""
    if shared_gateway.process is None:
        shared_gateway.start()
    yield shared_gateway
    if shared_gateway.process is not None:
        wait_for(shared_gateway.is_quiet, "no exchange left after the test")


@pytest.fixture
def client(gateway):
    return Client(gateway)

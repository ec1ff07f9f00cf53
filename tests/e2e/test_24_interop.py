"""The kernel's TCP with each of its options on and off, over a path that loses 2 % and reorders and doubles more: bytes
arrive as they were sent.

An answer that comes before all of the body was sent, such as the 503 of a connect that timed out, looks like a broken
connection here: the gateway then ends the HTTP/2 stream with NO_ERROR (RFC 9113, 8.1), and curl 7.88 reports 92 or 55
instead of the answer. So no timeout of the route may strike on a slow machine, and what the gateway says of a transfer
that failed is printed."""

import contextlib
import hashlib
import itertools
import json
import re

import pytest

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, GATEWAY6, HTTPS_URL, LAB, Client, frames_on_the_wire, run_in
from tests.lab.lossy import LossyPath
from tests.lab.service import pattern

URL = f"{HTTPS_URL}/checkout"
UPLOAD, DOWNLOAD = 60_000, 150_000
OPTIONS = ("tcp_sack", "tcp_timestamps", "tcp_window_scaling")
REASONS = re.compile(r"reset|abort|timeout|refused|drop|unreachable|no_memory|slow|flood|_rto_|_rq_xx|failures")
BUFFERS = {False: ("4096 131072 6291456", "4096 16384 4194304"), True: ("4096 8192 16384", "4096 8192 16384")}


def configure(namespace, bits, small, ecn):
    settings = [f"net.ipv4.{name}={bit}" for name, bit in zip(OPTIONS, bits)]
    settings.append(f"net.ipv4.tcp_ecn={ecn}")  # 1: asks for it, which we decline; 2: the default
    receive, send = BUFFERS[small]
    settings += [f"net.ipv4.tcp_rmem={receive}", f"net.ipv4.tcp_wmem={send}"]
    run_in(namespace, "sysctl", "-qw", *settings)


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    with frames_on_the_wire():
        yield new_shared_gateway(external=shop.DUAL_STACK)


@pytest.fixture
def peers():
    """Sets how the kernels of client and services speak TCP; everything is as usual afterwards."""

    def use(bits, small, ecn):
        for namespace in ("client", "svc"):
            configure(namespace, bits, small, ecn)

    yield use
    use((1, 1, 1), False, 2)


def counted(gateway):
    return {(n, *sorted(labels.items())): v for n, labels, v in gateway.metrics().samples if REASONS.search(n) and "_bucket" not in n}


@contextlib.contextmanager
def explained(gateway):
    """What the gateway counted and logged of a transfer that fails, in the message."""
    before = counted(gateway)
    try:
        yield
    except AssertionError as error:
        changed = [f"{key} +{v - before.get(key, 0):g}" for key, v in counted(gateway).items() if v != before.get(key, 0)]
        raise AssertionError("\n".join([str(error), *changed, *map(str, gateway.access_log()[-3:])])) from error


def transfer(client, tmp_path):
    body = pattern(0, UPLOAD)
    (tmp_path / "body").write_bytes(body)
    # By HTTP/1.1: curl before 8.2 gives up an upload by HTTP/2 if the socket takes only a part of it (curl issue 10591).
    answer = client.curl(f"{URL}/sum", "--http1.1", "--data-binary", f"@{tmp_path}/body")
    assert json.loads(answer.stdout) == {"length": UPLOAD, "sha256": hashlib.sha256(body).hexdigest()}
    got = client.curl(f"{URL}/bytes/{DOWNLOAD}", text=False).stdout
    assert len(got) == DOWNLOAD
    assert hashlib.sha256(got).digest() == hashlib.sha256(pattern(0, DOWNLOAD)).digest()


@pytest.mark.parametrize("ip,mtu,small", [(4, 1500, False), (4, 576, True), (6, 1500, True)])
@pytest.mark.parametrize("sack,timestamps,scaling", itertools.product((0, 1), repeat=3))
def test_every_option_over_a_lossy_path(
    gateway, services, peers, tmp_path, sack, timestamps, scaling, ip, mtu, small
):
    peers((sack, timestamps, scaling), small, (sack + timestamps + scaling) % 2 or 2)
    client = Client(gateway, GATEWAY6 if ip == 6 else GATEWAY)
    seed = sack + 2 * timestamps + 4 * scaling + 8 * ip + mtu
    with explained(gateway), LossyPath(f"{LAB}-client", mtu, seed=seed) as path:
        transfer(client, tmp_path)
    assert path.lost > 0

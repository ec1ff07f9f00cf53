"""The kernel's TCP with each of its options on and off, over a path that loses 2 % and reorders and doubles more: bytes
arrive as they were sent. A step of 'make soak': one connection in some hundreds was reset on a machine under load, and why is
not known yet."""

import hashlib
import itertools
import json
import os
import subprocess

import pytest

from tests.e2e import shop
from tests.e2e.conftest import HTTPS, LAB, Gateway
from tests.lab.lossy import LossyPath
from tests.lab.service import pattern

pytestmark = pytest.mark.skipif("SOAK_INTEROP" not in os.environ, reason="SOAK=interop make soak")
URL = f"https://shop.example:{HTTPS}/checkout"
UPLOAD, DOWNLOAD = 60_000, 150_000
GATEWAY6 = "fd77:1::254"
OPTIONS = ("tcp_sack", "tcp_timestamps", "tcp_window_scaling")
BUFFERS = {False: ("4096 131072 6291456", "4096 16384 4194304"), True: ("4096 8192 16384", "4096 8192 16384")}


def configure(namespace, bits, small):
    settings = [f"net.ipv4.{name}={bit}" for name, bit in zip(OPTIONS, bits)]
    receive, send = BUFFERS[small]
    settings += [f"net.ipv4.tcp_rmem={receive}", f"net.ipv4.tcp_wmem={send}"]
    subprocess.run(["ip", "netns", "exec", f"{LAB}-{namespace}", "sysctl", "-qw", *settings], check=True)


@pytest.fixture(scope="module")
def shared_gateway(lab, core, tmp_path_factory):
    directory = tmp_path_factory.mktemp("gateway")
    appliance = shop.APPLIANCE.replace("[10.77.1.254/24]", f'[10.77.1.254/24, "{GATEWAY6}/64"]').format(
        run=directory, core=core, external=shop.EXTERNAL["af_xdp"], hugepages="prefer"
    )
    shop.write(directory / "config", core, replace={"appliance.yaml": appliance})
    gateway = Gateway(directory, core).start()
    yield gateway
    assert gateway.stop() == 0, gateway.output()[-4000:]


@pytest.fixture
def peers():
    """Sets how the kernels of client and services speak TCP; everything is as usual afterwards."""

    def use(bits, small):
        for namespace in ("client", "svc"):
            configure(namespace, bits, small)

    yield use
    use((1, 1, 1), False)


def transfer(client, tmp_path, *arguments):
    body = pattern(0, UPLOAD)
    (tmp_path / "body").write_bytes(body)
    answer = client.curl(f"{URL}/sum", "--data-binary", f"@{tmp_path}/body", *arguments)
    assert json.loads(answer.stdout) == {"length": UPLOAD, "sha256": hashlib.sha256(body).hexdigest()}
    got = client.curl(f"{URL}/bytes/{DOWNLOAD}", *arguments, text=False).stdout
    assert len(got) == DOWNLOAD
    assert hashlib.sha256(got).digest() == hashlib.sha256(pattern(0, DOWNLOAD)).digest()


@pytest.mark.parametrize("ip,mtu,small", [(4, 1500, False), (4, 576, True), (6, 1500, True)])
@pytest.mark.parametrize("sack,timestamps,scaling", itertools.product((0, 1), repeat=3))
def test_every_option_over_a_lossy_path(
    gateway, client, services, peers, tmp_path, sack, timestamps, scaling, ip, mtu, small
):
    peers((sack, timestamps, scaling), small)
    to = ["--resolve", f"shop.example:{HTTPS}:[{GATEWAY6}]"] if ip == 6 else []
    with LossyPath(f"{LAB}-client", mtu, seed=sack + 2 * timestamps + 4 * scaling + 8 * ip + mtu) as path:
        transfer(client, tmp_path, *to)
    assert path.lost > 0

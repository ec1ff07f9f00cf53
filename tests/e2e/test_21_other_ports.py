"""The same over AF_PACKET, TAP, a port by devargs, and with hugepages."""

import json
import pathlib

import pytest

from tests.e2e import shop
from tests.e2e.conftest import HTTPS_URL, Client, run_in
from tests.e2e.test_20_transfer import download


PORTS = {
    "af_packet": {"driver": "af_packet"},
    "tap": shop.TAP,
    "devargs": {
        "driver": "devargs",
        "interface": None,
        "devargs": "net_af_xdp7,iface=ga,start_queue=0,queue_count=1,busy_budget=0",
        "checksum": "accept-partial",
    },
}


@pytest.mark.parametrize("external", PORTS)
def test_other_ports_carry_the_same(new_gateway, lab, services, external):
    if external == "af_packet":
        # AF_PACKET cuts the super-packets of a sender on the same host; a physical wire has none.
        run_in("client", "ethtool", "-K", "ca", "tso", "off", "gso", "off")
    gateway = new_gateway(external=PORTS[external], memory="256Mi")  # AF_PACKET and TAP have a queue for each worker
    if external == "tap":
        run_in("gw", "ip", "addr", "add", "10.77.1.1/24", "dev", "ta")
        run_in("gw", "ip", "link", "set", "ta", "up")
    client = Client(gateway, namespace="gw" if external == "tap" else "client")
    try:
        download(client, f"{HTTPS_URL}/checkout/bytes/3000000", 3_000_000)
        body = "x" * 100_000
        answer = client.curl(f"{HTTPS_URL}/checkout/sum", "-d", body)
        assert json.loads(answer.stdout)["length"] == len(body)
    finally:
        if external == "af_packet":
            run_in("client", "ethtool", "-K", "ca", "tso", "on", "gso", "on")


@pytest.fixture
def hugepages():
    """256 MiB of them for the test, if the machine has them to give."""
    setting = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = setting.read_text()
    setting.write_text("128")
    try:
        if int(setting.read_text()) < 128:
            pytest.skip("no hugepages to be had")
        yield
    finally:
        setting.write_text(before)


def test_gateway_runs_on_hugepages(new_gateway, services, hugepages):
    gateway = new_gateway(hugepages="require")
    client = Client(gateway)
    assert json.loads(gateway.ctl("status").stdout)["memory"]["hugepages"]
    download(client, f"{HTTPS_URL}/checkout/bytes/3000000", 3_000_000)

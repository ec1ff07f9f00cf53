"""A gateway that nobody talks to leaves the core to others, and wakes up."""

import os
import pathlib
import time

import pytest

from tests.e2e import shop
from tests.e2e.conftest import HTTP_URL, Client, run_in, wait_for

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def share_of_core(pid, seconds=2):
    began, cpu = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)  # what is measured is this period, whatever length it really has
    return (cpu_seconds(pid) - cpu) / (time.monotonic() - began)


@pytest.mark.skipif(os.environ.get("VARIANT", "release") != "release", reason="a sanitizer's cycles are not ours")
def test_an_idle_gateway_uses_less_than_a_twentieth_of_a_core(gateway, client, services):
    assert client.status(f"{HTTP_URL}/checkout") == 200
    wait_for(lambda: share_of_core(gateway.process.pid) < 0.05, "the gateway is idle")
    before = gateway.metrics()
    wait_for(
        lambda: gateway.metrics().sum("pollgate_waits_total") > before.sum("pollgate_waits_total") + 20,
        "the worker waits",
    )
    assert client.status(f"{HTTP_URL}/checkout") == 200
    after = gateway.metrics()
    assert after.sum("pollgate_busy_cycles_total") > before.sum("pollgate_busy_cycles_total")
    assert after.sum("pollgate_idle_cycles_total") > before.sum("pollgate_idle_cycles_total")


def test_receive_interrupts_end_a_sleep(new_gateway):
    gateway = new_gateway(external={**shop.TAP, "interface": "ti"}, mesh=None)
    run_in("gw", "ip", "addr", "add", "10.77.1.1/24", "dev", "ti")
    run_in("gw", "ip", "link", "set", "ti", "up")
    client = Client(gateway, namespace="gw")
    wait_for(lambda: gateway.metrics().sum("pollgate_waits_total") > 20, "the worker waits")
    for _ in range(20):
        assert client.status(f"{HTTP_URL}/nothing") == 404

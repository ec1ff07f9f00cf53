"""A gateway that nobody talks to leaves the core to others, and wakes up."""

import os

import pytest

from tests.e2e import shop
from tests.e2e.conftest import HTTP_URL, Client, run_in, wait_for


@pytest.mark.skipif(os.environ.get("VARIANT", "release") != "release", reason="a sanitizer's cycles are not ours")
def test_an_idle_gateway_uses_less_than_a_twentieth_of_a_core(gateway, client, services):
    assert client.status(f"{HTTP_URL}/checkout") == 200
    wait_for(lambda: gateway.share_of_core(2) < 0.05, "the gateway is idle")
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

"""What a network engineer tries first."""

import pytest

from tests.e2e.conftest import GATEWAY, HTTP_URL, ping


def test_gateway_answers_ping(gateway):
    ping(GATEWAY)
    ping(GATEWAY, "-s", "1400")


def test_closed_port_is_refused_at_once(gateway, client):
    with pytest.raises(ConnectionRefusedError):
        client.connect(port=9)


def test_metrics_count_frames_of_both_directions(gateway, client, services):
    before = gateway.metrics()
    client.curl(f"{HTTP_URL}/checkout")
    after = gateway.metrics()
    for name in ("pollgate_rx_packets_total", "pollgate_tx_packets_total"):
        assert after.sum(name) > before.sum(name)

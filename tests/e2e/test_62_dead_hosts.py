"""Services whose host vanishes without a word: tcpKeepalive and connectTimeout find out."""

import contextlib
import json

import pytest

from tests.e2e import shop
from tests.e2e.conftest import HTTP_URL, Response, run_in, wait_for

GATEWAY_THERE = "10.77.2.254/32"
RULES = shop.DESTINATION_RULES.replace(
    "tcp: {connectTimeout: 30s}", "tcp: {connectTimeout: 3s, tcpKeepalive: {time: 1s, interval: 1s, probes: 2}}", 1
)


@contextlib.contextmanager
def vanished():
    """Nothing that the hosts of all services send arrives; no RST, no ICMP error either."""
    run_in("svc", "ip", "route", "add", "blackhole", GATEWAY_THERE)
    try:
        yield
    finally:
        run_in("svc", "ip", "route", "del", "blackhole", GATEWAY_THERE)


@pytest.fixture
def gateway(new_gateway):
    return new_gateway(replace={"destination-rules.yaml": RULES})


def connections(gateway, service):
    return gateway.metrics().sum("envoy_cluster_upstream_cx_active", cluster_name=f"outbound|80||{service}-service.default.svc.cluster.local")


def unacknowledged(gateway):
    """Bytes for services, by connection."""
    answer = json.loads(gateway.ctl("connections", "direction=upstream").stdout)
    return [c["send_queued"] for c in answer["connections"]]


def ended_by_keepalive(gateway):
    return gateway.metrics().sum("pollgate_tcp_timeout_keepalive_total")


def test_idle_connections_to_a_dead_host_leave_the_pool(gateway, client, services):
    for service in ("checkout", "payment"):
        assert client.status(f"{HTTP_URL}/{service}/first") == 200
        assert connections(gateway, service) == 1
    with vanished():
        wait_for(lambda: connections(gateway, "checkout") == 0, "the pool without the dead connection")
        assert ended_by_keepalive(gateway) == 1
        assert connections(gateway, "payment") == 1, "its cluster has no keepalive"
    assert client.status(f"{HTTP_URL}/checkout/again") == 200


def test_a_live_host_answers_the_probes(gateway, client, services):
    assert client.status(f"{HTTP_URL}/checkout/first") == 200
    wait_for(lambda: gateway.metrics().sum("pollgate_tcp_keepalive_probes_total") >= 4, "four probes")
    assert ended_by_keepalive(gateway) == 0
    assert connections(gateway, "checkout") == 1


def test_a_request_that_waits_for_a_dead_host_is_answered(gateway, client, services):
    services.set("checkout", "stall")
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"GET /checkout/waits HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        wait_for(lambda: sum(services.counts().values()) == 1, "the request at the service")
        # Who waits for an acknowledgement sends again, not probes.
        wait_for(lambda: unacknowledged(gateway) == [0], "its acknowledgement")
        with vanished():
            answer = Response(stream)
    assert answer.status == 503
    assert ended_by_keepalive(gateway) == 1
    wait_for(lambda: [e["flags"] for e in gateway.access_log()] == ["UC"], "its log line")


def test_a_connect_to_a_dead_host_ends_after_connect_timeout(gateway, client, services):
    with vanished():
        assert client.status(f"{HTTP_URL}/checkout/never") == 503
    assert gateway.metrics().sum("envoy_cluster_upstream_cx_connect_timeout") == 1
    wait_for(lambda: [e["flags"] for e in gateway.access_log()] == ["UF"], "its log line")
    assert client.status(f"{HTTP_URL}/checkout/again") == 200

"""Two workers on ports with one queue each: who gets what, and that everybody knows the neighbours."""

import json

import pytest

from tests.e2e.conftest import GATEWAY, HTTPS_URL, HTTP_URL, Response, by_worker, cores_of_workers, ping, run_in, wait_for
from tests.e2e.test_20_transfer import download

N = 200


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(cores_of_workers(2))


def test_connections_of_one_client_spread_over_the_workers(gateway, client, services):
    before = by_worker(gateway, "pollgate_tcp_passive_opens_total")
    sockets = [client.connect() for _ in range(N)]
    for i, s in enumerate(sockets):
        s.sendall(b"GET /checkout/bytes/%d HTTP/1.1\r\nhost: shop.example\r\n\r\n" % (i * 100))
    for i, s in enumerate(sockets):
        with s, s.makefile("rb") as stream:
            assert len(Response(stream).body) == i * 100
    opened = by_worker(gateway, "pollgate_tcp_passive_opens_total") - before
    assert sum(opened.values()) == N
    # 200 throws of a coin: fewer than 60 of one side come once in 10^8.
    assert min(opened["0"], opened["1"]) >= 60, opened


def test_both_workers_open_connections_and_their_answers_come_back(gateway, client, services):
    # What a ring holds while another process has its worker's core: of the many connections before, it may be less than came.
    dropped = gateway.metrics().sum("pollgate_steer_drop_full_total")
    download(client, f"{HTTPS_URL}/checkout/bytes/500000", 500_000)
    for _ in range(20):
        assert client.status(f"{HTTPS_URL}/payment") == 200
    opened = by_worker(gateway, "pollgate_tcp_active_opens_total")
    assert opened["0"] > 0 and opened["1"] > 0
    metrics = gateway.metrics()
    # Each port has one queue, which worker 0 has: what is worker 1's goes over a ring in both directions.
    assert metrics.sum("pollgate_steer_handed_over_total") > 0
    assert metrics.sum("pollgate_steer_drop_full_total") == dropped


def test_a_neighbour_that_one_worker_found_is_known_to_all(gateway, client, services):
    """Both know every endpoint in the end although each was asked for once."""
    for path in ("checkout", "inventory", "payment"):
        used = lambda: client.status(f"{HTTP_URL}/{path}") and all(
            n > 0 for name, n in services.counts().items() if name.startswith(path)
        )
        wait_for(used, f"every endpoint of {path} is used")
    wait_for(
        lambda: (k := by_worker(gateway, "pollgate_neigh_entries")) and k["0"] == k["1"] >= 10,
        "both workers know the same neighbours, nine endpoints and the client",
    )
    assert gateway.metrics().sum("pollgate_neigh_heard_total") > 0


def test_a_neighbour_that_moves_moves_for_all(gateway, client, services):
    old = json.loads(run_in("client", "ip", "-j", "link", "show", "ca"))[0]["address"]
    changed = gateway.metrics().sum("pollgate_neigh_changed_total")
    run_in("client", "ip", "link", "set", "ca", "address", "02:00:00:00:77:01")
    try:
        # The client's own question for the gateway tells both workers.
        run_in("client", "ip", "neigh", "flush", "dev", "ca")
        for _ in range(20):
            assert client.status(f"{HTTP_URL}/checkout") == 200
        wait_for(
            lambda: gateway.metrics().sum("pollgate_neigh_changed_total") >= changed + 2, "both workers noticed"
        )
    finally:
        run_in("client", "ip", "link", "set", "ca", "address", old)
        run_in("client", "ip", "neigh", "flush", "dev", "ca")
    for _ in range(20):
        assert client.status(f"{HTTP_URL}/checkout") == 200


def test_ping_is_answered_by_one_of_them(gateway, client):
    said = ping(GATEWAY, count=5)
    assert "5 received" in said and "DUP" not in said

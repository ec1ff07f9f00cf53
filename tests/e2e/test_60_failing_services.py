"""Services that are down, slow, or talk nonsense: the client gets a well-formed answer, the operator the reason."""

import pytest

from tests.e2e.conftest import HTTP_URL, Response, read_to_end, wait_for



@pytest.mark.parametrize(
    "mode, path, status, flags",
    [
        ("down", "/checkout/down", 503, "UF"),
        ("reset", "/checkout/reset", 503, "UC"),
        ("close", "/checkout/fin", 503, "UC"),
        ("garbage", "/checkout/garbage", 502, "UPE"),
        ("stall", "/impatient/stall", 504, "UT"),
        ("slow:3", "/impatient/slow", 504, "UT"),
    ],
)
def test_failing_service_is_answered_with_its_reason(gateway, client, services, mode, path, status, flags):
    services.set("checkout", mode)
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"GET %s HTTP/1.1\r\nhost: shop.example\r\n\r\n" % path.encode())
        answer = Response(stream)
        assert answer.status == status
        services.set("checkout", "ok")
        s.sendall(b"GET /payment HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        assert Response(stream).status == 200, "the client's connection goes on"
    assert gateway.logged(path)["flags"] == flags


def test_service_that_dies_in_its_answer_cuts_the_client_off(gateway, client, services):
    services.set("checkout", "truncate")
    with client.connect() as s:
        s.sendall(b"GET /checkout/cut HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        answer = read_to_end(s)
    assert len(answer.partition(b"\r\n\r\n")[2]) < 100000
    assert gateway.logged("/checkout/cut")["flags"] == "UC"


def test_retries_are_seen_by_the_service_and_help_the_client(gateway, client, services):
    services.set("payment-1", "status:503")
    services.set("payment-2", "status:503")
    before = gateway.metrics()
    for i in range(6):
        assert client.status(f"{HTTP_URL}/payment/{i}") == 200
    counts, after = services.counts(), gateway.metrics()
    assert counts["payment-3"] == 6
    retries = after.sum("envoy_cluster_upstream_rq_retry") - before.sum("envoy_cluster_upstream_rq_retry")
    assert retries == counts["payment-1"] + counts["payment-2"] >= 6
    assert after.sum("envoy_cluster_upstream_rq_retry_success") > before.sum("envoy_cluster_upstream_rq_retry_success")


def test_retries_end(gateway, client, services):
    services.set("payment", "status:503")
    assert client.status(f"{HTTP_URL}/payment/all") == 503
    assert sum(services.counts().values()) == 4, "one try and three retries"
    line = gateway.logged("/payment/all")
    assert (line["flags"], line["attempts"]) == ("URX", 4)


def test_refused_connections_are_retried(gateway, client, services):
    services.set("payment-1", "down")
    for i in range(6):
        assert client.status(f"{HTTP_URL}/payment/{i}") == 200


def test_failing_endpoint_is_ejected_and_returns(gateway, client, services):
    cluster = "outbound|80||inventory-service.default.svc.cluster.local"
    active = "envoy_cluster_outlier_detection_ejections_active"
    ejections = "envoy_cluster_outlier_detection_ejections_enforced_total"
    services.set("inventory-2", "status:500")

    def batch():
        """Statuses of nine requests, and whether inventory-2 was out for all that time."""
        before = gateway.metrics()
        services.reset_counts()
        with client.connect() as s, s.makefile("rb") as stream:
            statuses = []
            for _ in range(9):
                s.sendall(b"GET /inventory HTTP/1.1\r\nhost: shop.example\r\n\r\n")
                statuses.append(Response(stream).status)
        after = gateway.metrics()
        out = [m.sum(active, cluster_name=cluster) == 1 for m in (before, after)]
        same = before.sum(ejections, cluster_name=cluster) == after.sum(ejections, cluster_name=cluster)
        return statuses if all(out) and same else None

    statuses = wait_for(batch, "a batch of requests while inventory-2 is ejected")
    assert statuses == [200] * 9
    assert services.counts()["inventory-2"] == 0
    services.set("inventory-2", "ok")
    wait_for(lambda: gateway.metrics().sum(active, cluster_name=cluster) == 0, "inventory-2 returns")
    services.reset_counts()
    for _ in range(6):
        assert client.status(f"{HTTP_URL}/inventory") == 200
    assert services.counts()["inventory-2"] > 0
    assert gateway.metrics().sum(ejections, cluster_name=cluster) >= 1


def test_requests_are_counted_as_istio_counts_them(gateway, client, services):
    service = "checkout-service.default.svc.cluster.local"

    def count(**labels):
        return gateway.metrics().sum("istio_requests_total", destination_service=service, reporter="source", **labels)

    ok, failed = count(response_code="200"), count(response_code="503")
    assert client.status(f"{HTTP_URL}/checkout") == 200
    services.set("checkout", "status:503")
    assert client.status(f"{HTTP_URL}/checkout") == 503
    wait_for(lambda: count(response_code="200") == ok + 1, "the 200 is counted")
    wait_for(lambda: count(response_code="503") == failed + 1, "the 503 is counted")
    histogram = gateway.metrics().sum("istio_request_duration_milliseconds_count", destination_service=service)
    assert histogram >= 2

"""What the Appliance's http and the mesh's proxyHeaders may change at the edge."""

import json

import pytest

from tests.e2e.conftest import HTTP, HTTP_URL, Response, read_to_end, wait_for

LIMIT = 20
SPEC = f"  http: {{acceptHttp10: true, requestTimeout: 1s, maxConnectionsPerAddress: {LIMIT}}}\n"
MESH = """\
  meshConfig:
    defaultConfig:
      proxyHeaders:
        server: {value: shopkeeper}
        requestId: {disabled: true}
        attemptCount: {disabled: true}
        envoyDebugHeaders: {disabled: true}
        xForwardedPort: {enabled: true}
"""


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(spec=SPEC, replace={"mesh.yaml": lambda text: text.replace("  meshConfig:\n", MESH)})


def test_proxy_headers_are_as_the_mesh_says(gateway, client, services):
    answer = client.curl(f"{HTTP_URL}/checkout/headers", "-i", "-H", "x-request-id: mine")
    head, _, body = answer.stdout.replace("\r\n", "\n").partition("\n\n")
    assert "\nserver: shopkeeper\n" in head + "\n" and "x-envoy" not in head
    fields = {k.lower(): v for k, v in json.loads(body)["headers"]}
    assert fields["x-forwarded-port"] == str(HTTP)
    assert [k for k in fields if k.startswith("x-envoy") and k != "x-envoy-external-address"] == []
    assert fields["x-request-id"] == "mine"


def test_http_1_0_is_answered(gateway, client, services):
    answer = client.curl(f"{HTTP_URL}/checkout", "--http1.0", "-w", " %{http_version} %{http_code}")
    assert answer.stdout.startswith("checkout-") and answer.stdout.endswith(" 1 200")
    # A body without a length ends with the connection.
    answer = client.curl(f"{HTTP_URL}/checkout/bytes/100000?chunked=1", "--http1.0", "-i", text=False)
    head, _, body = answer.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n") and b"transfer-encoding" not in head and len(body) == 100000
    with client.connect() as s:
        s.sendall(b"GET /checkout HTTP/1.0\r\n\r\n")
        assert read_to_end(s).startswith(b"HTTP/1.0 400 ")


def test_a_request_has_to_be_whole_in_time(gateway, client, services):
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"POST /checkout/late HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 100\r\n\r\nx")
        answer = Response(stream)
        assert (answer.status, answer.body) == (408, b"request timeout")
    assert gateway.logged("/checkout/late")["details"] == "request_overall_timeout"
    assert client.status(f"{HTTP_URL}/checkout/delay/1500") == 200  # the answer has its own time


def test_an_address_has_so_many_connections(gateway, client, services):
    def is_served(sock):
        try:
            sock.sendall(b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            return Response(sock.makefile("rb")).status == 200
        except ConnectionError:
            return False

    active = "envoy_http_downstream_cx_active"
    wait_for(lambda: gateway.metrics().sum(active) == 0, "the connections of the tests before are gone")
    before = gateway.metrics().sum("pollgate_downstream_address_overflow_total")
    workers = gateway.core.count(",") + 1
    open_ones = []

    def one_more():
        try:
            open_ones.append(client.connect())
        except ConnectionError:
            return False
        return is_served(open_ones[-1])

    try:
        n = 0
        while n <= workers * LIMIT and one_more():
            n += 1
        assert LIMIT <= n <= workers * LIMIT
        assert gateway.metrics().sum("pollgate_downstream_address_overflow_total") == before + 1
        assert is_served(open_ones[0])
    finally:
        for sock in open_ones:
            sock.close()

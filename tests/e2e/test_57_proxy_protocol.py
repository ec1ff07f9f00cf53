"""The PROXY protocol in front of what clients say, by curl and by hand."""

import json
import socket

import pytest

from tests.e2e.conftest import HTTP, HTTPS, HTTPS_URL, HTTP_URL, Response, read_to_end
from tests.e2e.test_50_http2 import Peer

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENTS_PROXY = "192.0.2.7"  # who the headers speak of


def v1(address=CLIENTS_PROXY):
    return f"PROXY TCP4 {address} 192.0.2.8 5000 443\r\n".encode()


def v2(address=CLIENTS_PROXY):
    ends = socket.inet_aton(address) + socket.inet_aton("192.0.2.8") + bytes([19, 136, 1, 187])
    authority = b"\x02\0\x04shop"  # a TLV
    return SIGNATURE + b"\x21\x11" + (len(ends) + len(authority)).to_bytes(2, "big") + ends + authority


HEADERS = {"v1": v1, "v2": v2}


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    """Whose connections all begin with a header."""
    topology = "  meshConfig:\n    defaultConfig: {gatewayTopology: {proxyProtocol: {}}}\n"
    return new_shared_gateway(replace={"mesh.yaml": lambda text: text.replace("  meshConfig:\n", topology)})


def ask_h1(sock):
    sock.sendall(b"GET /checkout/headers HTTP/1.1\r\nhost: shop.example\r\n\r\n")
    answer = Response(sock.makefile("rb"))
    assert answer.status == 200
    return dict(json.loads(answer.body)["headers"])


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("tls", [False, True], ids=["cleartext", "tls"])
@pytest.mark.parametrize("version", HEADERS)
def test_the_client_is_who_the_header_says(gateway, client, services, version, tls, pieces):
    header = HEADERS[version]()
    sock = client.connect(HTTPS if tls else HTTP)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in [header[i : i + 1] for i in range(len(header))] if pieces else [header]:
        sock.sendall(part)
    if tls:
        sock = client.tls_context().wrap_socket(sock, server_hostname="shop.example")
    for _ in range(2):  # the connection has one header, not each request
        fields = ask_h1(sock)
        assert fields["x-forwarded-for"] == CLIENTS_PROXY and fields["x-forwarded-proto"] == ("https" if tls else "http")
    sock.close()
    assert gateway.metrics().sum(f"pollgate_proxy_headers_{version}_total") >= 1


def test_http2_follows_a_header(gateway, client, services):
    class Proxied:
        ca = client.ca

        def connect_tls(self, alpn):
            sock = client.connect(HTTPS)
            sock.sendall(v2())
            return client.tls_context(alpn).wrap_socket(sock, server_hostname="shop.example")

    with Peer(Proxied()) as peer:
        stream = peer.get("/checkout/headers")
        assert dict(json.loads(peer.body(stream))["headers"])["x-forwarded-for"] == CLIENTS_PROXY


@pytest.mark.parametrize("url", [HTTP_URL, HTTPS_URL], ids=["cleartext", "tls"])
def test_curl_sends_one(gateway, client, services, url):
    assert client.curl(f"{url}/checkout", "--haproxy-protocol").stdout.startswith("checkout-")


def test_a_connection_without_one_is_closed(gateway, client, services):
    before = gateway.metrics().sum("pollgate_proxy_refused_signature_total")
    for url in (HTTP_URL, HTTPS_URL):
        assert client.curl(f"{url}/checkout", check=False).returncode != 0
    assert gateway.metrics().sum("pollgate_proxy_refused_signature_total") == before + 2


@pytest.mark.parametrize("tls", [False, True], ids=["cleartext", "tls"])
@pytest.mark.parametrize("version", HEADERS)
def test_the_end_within_a_header_ends_the_connection(gateway, client, version, tls):
    for n in (0, 1, len(HEADERS[version]()) - 1):
        sock = client.connect(HTTPS if tls else HTTP, timeout=10)  # the header itself has fifteen seconds
        sock.sendall(HEADERS[version]()[:n])
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b""
        sock.close()
    assert gateway.metrics().sum("envoy_listener_downstream_pre_cx_timeout") == 0

"""Which certificate answers, and what happens to those whom none answers."""

import ssl

import pytest

from tests.e2e import shop
from tests.e2e.conftest import HTTPS, Response, read_to_end, wait_for

SERVERS = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ["*"]
    - port: {number: 443, name: exact, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: exact-cert}
      hosts: ["api.shop.example"]
    - port: {number: 443, name: wildcard, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: shop-cert}
      hosts: ["shop.example", "*.shop.example"]
    - port: {number: 443, name: missing, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: nowhere-cert}
      hosts: ["missing.example"]
"""


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(
        replace={
            "gateway.yaml": SERVERS,
            "routes.yaml": shop.VIRTUAL_SERVICE.replace("hosts: [shop.example]", "hosts: [shop.example, api.shop.example]"),
        },
        certificates={"exact-cert": ["api.shop.example"]},
    )


@pytest.mark.parametrize(
    "name, subject",
    [("shop.example", "shop.example"), ("a.shop.example", "shop.example"), ("api.shop.example", "api.shop.example"),
     ("API.Shop.Example", "api.shop.example")],
)
def test_certificate_is_chosen_by_name(client, name, subject):
    with client.connect_tls(name) as s:
        certificate = s.getpeercert()
        assert (("commonName", subject),) in certificate["subject"]
        assert s.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("name, alert", [("other.example", "unrecognized name"), ("missing.example", "internal error")])
def test_name_without_a_certificate_is_not_served(gateway, client, name, alert):
    with pytest.raises(ssl.SSLError, match=alert):
        client.connect_tls(name).close()


def test_client_without_sni_is_not_served(client):
    context = ssl.create_default_context(cafile=client.ca)
    context.check_hostname = False
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(client.connect(HTTPS)).close()


def test_refused_handshake_says_why(gateway, client):
    before = gateway.metrics().sum("pollgate_tls_fail_cipher_total")
    context = ssl.create_default_context(cafile=client.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError, match="alert handshake failure"):
        context.wrap_socket(client.connect(HTTPS), server_hostname="shop.example").close()
    assert gateway.metrics().sum("pollgate_tls_fail_cipher_total") == before + 1


def test_routes_of_one_server_are_not_those_of_another(client, services):
    """A connection for api.shop.example does not reach the hosts of the other server (RFC 9110, 7.4)."""
    with client.connect_tls("api.shop.example") as s, s.makefile("rb") as stream:
        s.sendall(b"GET /checkout HTTP/1.1\r\nhost: api.shop.example\r\n\r\n")
        assert Response(stream).status == 200
        s.sendall(b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        assert Response(stream).status == 404


def test_plain_http_on_the_tls_port_ends_the_connection(gateway, client):
    before = gateway.metrics().sum("pollgate_tls_fail_plaintext_total")
    with client.connect(HTTPS) as s:
        s.sendall(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        assert b"HTTP/" not in read_to_end(s)
    wait_for(
        lambda: gateway.metrics().sum("pollgate_tls_fail_plaintext_total") == before + 1, "the refusal is counted"
    )


def test_renewed_certificate_is_served_after_reload(gateway, client, services):
    def serial():
        with client.connect_tls("api.shop.example") as s:
            return s.getpeercert()["serialNumber"]

    before = serial()
    with client.connect_tls("api.shop.example") as old, old.makefile("rb") as stream:
        shop.make_certificate(gateway.config, "exact-cert", "api.shop.example")
        gateway.ctl("reload")
        assert serial() != before
        old.sendall(b"GET /checkout HTTP/1.1\r\nhost: api.shop.example\r\n\r\n")
        assert Response(stream).status == 200, "the connection made before goes on"

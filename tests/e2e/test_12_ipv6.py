"""IPv6 on both legs, beside IPv4: the kernel as client, as neighbour and as the services' stack."""

import hashlib
import json
import socket

import pytest

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY6, HTTPS_URL, LAB, Client, Response, ping, run_in
from tests.e2e.wire import mac_of
from tests.lab import netns, service
from tests.lab.service import pattern

CLIENT6 = "fd77:1::1"

FROM = '"from":"%DOWNSTREAM_REMOTE_ADDRESS%","xff":"%REQ(X-FORWARDED-FOR)%",'
ENTRIES = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: inventory, namespace: default}
spec:
  hosts: [inventory-service.default.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  workloadSelector: {labels: {app: inventory}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: inventory-1, namespace: default, labels: {app: inventory}}
spec: {address: "fd77:2::21", labels: {app: inventory}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payment, namespace: default}
spec:
  hosts: [payment-service.default.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  endpoints: [{address: "fd77:2::31"}]
"""


@pytest.fixture(scope="module")
def services6(lab):
    services = service.Services(
        f"{LAB}-svc", {"checkout": ["fd77:2::11", "fd77:2::12"], "inventory": ["fd77:2::21"], "payment": ["fd77:2::31"]}
    )
    yield services
    services.stop()


@pytest.fixture(scope="module")
def shared_gateway(services6, new_shared_gateway):
    return new_shared_gateway(
        external=shop.DUAL_STACK,
        mesh={"addresses": ["10.77.2.254/24", "fd77:2::254/64"]},
        replace={
            "services.yaml": shop.service_yaml("checkout", "fd77:2::11", "fd77:2::12") + ENTRIES,
            "mesh.yaml": lambda text: text.replace('"sent"', FROM + '"sent"'),
        },
    )


@pytest.fixture
def client6(gateway):
    return Client(gateway, GATEWAY6)


def test_gateway_answers_ping(gateway):
    ping(GATEWAY6)
    ping(GATEWAY6, "-s", "1400")


def test_kernel_knows_the_gateway_as_a_neighbour(gateway, client6):
    """Its addresses resolve to its MAC, and the link-local one is made from that MAC."""
    gateway_mac = mac_of(GATEWAY6)
    mac = bytes.fromhex(gateway_mac.replace(":", ""))
    low = (bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]).hex()
    link_local = "fe80::" + ":".join(low[i : i + 4].lstrip("0") or "0" for i in range(0, 16, 4))
    assert mac_of(f"{link_local}%ca") == gateway_mac


@pytest.mark.parametrize("service_name", ["checkout", "inventory", "payment"])
def test_https_get(gateway, client6, service_name):
    """Endpoints of an EndpointSlice, a WorkloadEntry and a ServiceEntry."""
    assert client6.curl(f"{HTTPS_URL}/{service_name}").stdout.startswith(f"{service_name}-")


def test_upload_arrives_whole(gateway, client6, tmp_path):
    body = pattern(0, 5_000_000)
    (tmp_path / "body").write_bytes(body)
    answer = client6.curl(f"{HTTPS_URL}/checkout/sum", "--data-binary", f"@{tmp_path}/body")
    assert json.loads(answer.stdout) == {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_download_arrives_whole(gateway, client6):
    size = 20_000_000
    answer = client6.curl(f"{HTTPS_URL}/checkout/bytes/{size}", text=False)
    assert hashlib.sha256(answer.stdout).digest() == hashlib.sha256(pattern(0, size)).digest()
    # The kernel cuts its own segments on both sides; every checksum passed.
    assert gateway.metrics().sum("pollgate_tcp_drop_checksum_total") == 0


def test_addresses_are_written_as_ipv6(gateway, client6):
    before = len(gateway.access_log())
    seen = json.loads(client6.curl(f"{HTTPS_URL}/checkout/headers").stdout)["headers"]
    assert dict((k.lower(), v) for k, v in seen)["x-forwarded-for"] == CLIENT6
    line = gateway.logged("/checkout/headers", before)
    assert line["from"].startswith(f"[{CLIENT6}]:")
    assert line["xff"] == CLIENT6
    assert line["host"] in ("[fd77:2::11]:8080", "[fd77:2::12]:8080")


def test_ipv4_clients_reach_ipv6_services(gateway, client):
    """The families of the two legs have nothing to do with each other."""
    assert client.curl(f"{HTTPS_URL}/checkout").stdout.startswith("checkout-")


def test_closed_port_is_refused_at_once(gateway, client6):
    with pytest.raises(ConnectionRefusedError):
        client6.connect(port=9)


def test_udp_is_told_that_nobody_listens(gateway, client6):
    with netns.inside(f"{LAB}-client"):
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with s:
        s.settimeout(60)
        s.connect((GATEWAY6, 53))
        s.send(b"who?")
        with pytest.raises(ConnectionRefusedError):
            s.recv(1)


def test_a_request_over_a_plain_socket(gateway, client6):
    with client6.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"GET /checkout/bytes/100000 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        assert Response(stream).body == pattern(0, 100_000)


def test_interface_takes_every_group_no_longer_than_the_gateway_runs(gateway):
    def takes_every_group():
        (link,) = json.loads(run_in("gw", "ip", "-j", "link", "show", "ga"))
        return "ALLMULTI" in link["flags"]

    assert takes_every_group()
    assert gateway.stop() == 0
    assert not takes_every_group()

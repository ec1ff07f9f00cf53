"""HTTP/1.1 and HTTP/2 in all four pairings of client and service: bodies, trailers, and either side going away at every stage.

Clients: curl, nghttp, h2load, sockets, python3-h2. Services: tests/lab/service.py (HTTP/1.1), tests/lab/h2_service.py (HTTP/2,
and both on one port), nghttpd.
"""

import hashlib
import json
import re

import h2.errors
import h2.events
import pytest

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, HTTP, HTTPS_URL, HTTP_URL, Response, read_to_end, server, wait_for
from tests.e2e.test_50_http2 import Peer, status
from tests.lab import h2_service, netns
from tests.lab.service import pattern

SMALL = [0, 1, 65535, 65536, 65537]
BIG = 100_000_000
NGHTTPD, TWIN = "10.77.2.41", "10.77.2.42"
CURL = {"h1": (HTTP_URL, "--http1.1"), "h2": (HTTPS_URL, "--http2")}
SERVICE = {"h1": "checkout", "h2": "twin"}
VERSIONS = ["h1", "h2"]

ROUTES = """\
    - name: nghttpd
      match: [{uri: {prefix: /nghttpd}}]
      route: [{destination: {host: nghttpd-service}}]
      retries: {attempts: 0}
    - name: refused
      match: [{uri: {regex: "/twin/(refuse|goaway)"}}]
      route: [{destination: {host: twin-service}}]
      retries: {attempts: 1, retryOn: refused-stream}
    - name: twin
      match: [{uri: {prefix: /twin}}]
      route: [{destination: {host: twin-service}}]
      retries: {attempts: 0}
    - name: any
      match: [{uri: {prefix: /any}}]
      route: [{destination: {host: any-service}}]
      retries: {attempts: 0}
"""

RULES = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: nghttpd-service, namespace: default}
spec:
  host: nghttpd-service
  trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: any-service, namespace: default}
spec:
  host: any-service
  trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}
"""


@pytest.fixture(scope="module")
def twin(all_services):
    return all_services.add("twin-1", TWIN, kind=h2_service.TwinEndpoint)


@pytest.fixture(scope="module")
def nghttpd(lab, tmp_path_factory):
    files = tmp_path_factory.mktemp("htdocs") / "nghttpd"
    files.mkdir()
    for size in [*SMALL, BIG]:
        (files / str(size)).write_bytes(pattern(0, size))
    options = ["--no-tls", "-a", NGHTTPD, "-d", files.parent, "--echo-upload", "--trailer", "x-sum: done"]
    with server((NGHTTPD, 8080), "nghttpd", *options, "8080"):
        yield files


@pytest.fixture(scope="module")
def shared_gateway(twin, new_shared_gateway):
    services = [
        shop.service_yaml("nghttpd", NGHTTPD),
        shop.service_yaml("twin", TWIN, port_name="http2-web"),
        shop.service_yaml("any", TWIN),
    ]
    return new_shared_gateway(
        replace={
            "routes.yaml": shop.VIRTUAL_SERVICE + ROUTES,
            "destination-rules.yaml": shop.DESTINATION_RULES + RULES,
            "more-services.yaml": "---\n".join(services),
        }
    )


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def transfer(client, version, service, size, nghttpd, directory):
    """Down and up; the file of that size is what is to arrive."""
    url, option = CURL[version]
    out = directory / "out"
    path = f"/nghttpd/{size}" if service == "h2" else f"/checkout/bytes/{size}"
    expected = sha256(nghttpd / str(size))
    client.curl(url + path, option, "-o", out)
    assert out.stat().st_size == size and sha256(out) == expected
    path = "/nghttpd/echo" if service == "h2" else "/checkout/sum"
    client.curl(url + path, option, "-H", "Expect:", "--data-binary", f"@{nghttpd / str(size)}", "-o", out)
    if service == "h2":
        assert out.stat().st_size == size and sha256(out) == expected
    else:
        assert json.loads(out.read_text()) == {"length": size, "sha256": expected}


@pytest.mark.parametrize("service", VERSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_small_bodies(gateway, client, services, nghttpd, version, service, tmp_path):
    for size in SMALL:
        transfer(client, version, service, size, nghttpd, tmp_path)


@pytest.mark.parametrize("service", VERSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_big_bodies(gateway, client, services, nghttpd, version, service, tmp_path):
    transfer(client, version, service, BIG, nghttpd, tmp_path)


def request_with_trailers(client, version, path):
    """POSTs a body with a trailer; returns status, body and trailers of the answer."""
    if version == "h2":
        with Peer(client) as peer:
            stream = peer.get(path, "POST", end=False, fields=[("te", "trailers")])
            peer.h2.send_data(stream, b"up")
            peer.h2.send_headers(stream, [("x-up", "1")], end_stream=True)
            peer.flush()
            head = peer.wait(h2.events.ResponseReceived, stream)
            trailers = peer.wait(h2.events.TrailersReceived, stream)
            return status(head), peer.body(stream), dict(trailers.headers)
    with client.connect() as s, s.makefile("rb") as stream:
        head = f"POST {path} HTTP/1.1\r\nhost: shop.example\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n"
        s.sendall(head.encode() + b"2\r\nup\r\n0\r\nx-up: 1\r\n\r\n")
        answer = Response(stream)
        return answer.status, answer.body, answer.trailers


@pytest.mark.parametrize("service", VERSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_trailers_go_both_ways(gateway, client, services, version, service):
    answer = request_with_trailers(client, version, f"/{SERVICE[service]}/trailers")
    assert answer == (200, b"ok", {"x-up": "1"})


def test_nghttp_and_nghttpd_exchange_trailers(gateway, client, services, nghttpd):
    url = f"http://{GATEWAY}:{HTTP}/nghttpd/65536"
    process = client.popen("timeout", "300", "nghttp", "-nv", "-H:authority: shop.example", url, stdout=-1, text=True)
    out, _ = process.communicate()
    assert "x-sum: done" in out and ":status: 200" in out, out


def test_h2load_on_http2_services_gets_every_answer(gateway, client, services, nghttpd):
    process = client.popen(
        "timeout", "300", "h2load", "-n", "2000", "-c", "8", "-m", "16", f"{HTTP_URL}/nghttpd/1",
        "--connect-to", f"{GATEWAY}:{HTTP}", stdout=-1, stderr=-1, text=True,
    )
    out, _ = process.communicate()
    assert re.search(r"2000 succeeded, 0 failed, 0 errored", out), out


@pytest.mark.parametrize("version", VERSIONS)
def test_clients_protocol_goes_on(gateway, client, services, twin, version):
    url, option = CURL[version]
    answer = client.curl(f"{url}/any", option, "-w", " %header{x-protocol}")
    assert answer.stdout == "twin-1\n " + ("h2" if version == "h2" else "")


@pytest.mark.parametrize("what", ["refuse", "goaway"])
def test_what_an_endpoint_did_not_process_is_tried_again(gateway, client, services, twin, what):
    twin.refused = False
    assert client.curl(f"{HTTP_URL}/twin/{what}").stdout == "twin-1\n"
    line = gateway.logged(f"/twin/{what}")
    assert line["attempts"] == 2


# --- somebody goes away

# What a client has sent of its POST when it does.
STAGES = ["nothing", "part of the head", "the head", "part of the body", "all"]


def vanish(sock):
    netns.reset_at_close(sock)
    sock.close()


def send_h1(client, path, stage):
    head = f"POST {path} HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1000\r\n\r\n".encode()
    parts = {"nothing": b"", "part of the head": head[:30], "the head": head}
    sock = client.connect()
    sock.sendall(parts.get(stage, head + bytes(500 if stage == "part of the body" else 1000)))
    return sock


def send_h2(client, path, stage):
    peer = Peer(client, tls=False)
    if stage != "nothing":
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "shop.example"), (":path", path)]
        peer.h2.send_headers(1, [*fields, ("content-length", "1000")])
        out = peer.h2.data_to_send()
        peer.sock.sendall(out[:-5] if stage == "part of the head" else out)
    if stage in ("part of the body", "all"):
        peer.h2.send_data(1, bytes(500 if stage == "part of the body" else 1000), end_stream=stage == "all")
        peer.flush()
    return peer


@pytest.mark.parametrize("service", VERSIONS)
@pytest.mark.parametrize("version", ["h1", "h2", "h2 stream"])
def test_client_goes_away(gateway, client, services, twin, version, service):
    path = f"/{SERVICE[service]}/hang"
    endpoints = [e for e in services.endpoints.values() if e.service == SERVICE[service]]
    for stage in STAGES:
        services.reset_counts()
        arrives = STAGES.index(stage) >= STAGES.index("the head")
        if version == "h2 stream" and not arrives:
            continue
        before = len(gateway.access_log())
        peer = send_h1(client, path, stage) if version == "h1" else send_h2(client, path, stage)
        if arrives:
            wait_for(lambda: sum(e.requests for e in endpoints) == 1, f"{stage}: the request is there")
        if version == "h2 stream":
            peer.h2.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
            peer.flush()
        else:
            vanish(peer if version == "h1" else peer.sock)
        if arrives:
            wait_for(lambda: sum(e.cut for e in endpoints) == 1, f"{stage}: the service sees the end")
        wait_for(gateway.is_quiet, f"{stage}: nothing is left")
        assert sum(e.requests for e in endpoints) == arrives, stage
        if arrives:
            line = gateway.logged(path, before)
            assert (line["code"], line["flags"]) == (0, "DR" if version == "h2 stream" else "DC"), (stage, line)
        if version == "h2 stream":
            # The connection goes on.
            peer.h2.send_headers(3, [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", f"/{SERVICE[service]}")], end_stream=True)
            peer.flush()
            assert status(peer.wait(h2.events.ResponseReceived, 3)) == 200
            peer.sock.close()


@pytest.mark.parametrize("service", VERSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_client_goes_away_in_the_answer(gateway, client, services, nghttpd, version, service):
    path = f"/checkout/bytes/{BIG}" if service == "h1" else f"/nghttpd/{BIG}"
    before = len(gateway.access_log())
    if version == "h1":
        sock = client.connect()
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n".encode())
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        vanish(sock)
    else:
        peer = Peer(client)
        stream = peer.get(path)
        peer.wait(h2.events.DataReceived, stream, acknowledge=False)
        vanish(peer.sock)
    wait_for(gateway.is_quiet, "nothing is left")
    line = gateway.logged(path, before)
    assert (line["code"], line["flags"]) == (200, "DC"), line


def answer_of(client, version, path):
    """Status, bytes of the body, and whether it came whole."""
    if version == "h2":
        with Peer(client) as peer:
            stream = peer.get(path)
            code = status(peer.wait(h2.events.ResponseReceived, stream))
            end = peer.wait((h2.events.StreamEnded, h2.events.StreamReset), stream)
            size = sum(len(e.data) for e in peer.events if isinstance(e, h2.events.DataReceived))
            return code, size, isinstance(end, h2.events.StreamEnded)
    with client.connect() as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n".encode())
        head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
        if not head:  # an answer that is cut ends in RST, which may overtake it
            return 200, 0, False
        length = int(re.search(rb"content-length: (\d+)", head).group(1))
        return int(head.split()[1]), len(body), len(body) == length


@pytest.mark.parametrize("service", VERSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_service_goes_away(gateway, client, services, twin, version, service):
    base = f"/{SERVICE[service]}/abort"
    before = len(gateway.access_log())
    for stage in ("before", "head"):
        assert answer_of(client, version, f"{base}/{stage}")[0::2] == (503, True), stage
    for stage, size in (("open", 0), ("body", 5000)):
        code, got, whole = answer_of(client, version, f"{base}/{stage}")
        assert code == 200 and got <= size and not whole, stage
    assert answer_of(client, version, f"{base}/after") == (200, 6000, True)
    wait_for(gateway.is_quiet, "nothing is left")
    stages = ("before", "head", "open", "body", "after")
    lines = {
        stage: gateway.logged(f"{base}/{stage}", before) for stage in stages
    }
    assert {stage: line["flags"] for stage, line in lines.items()} == {
        "before": "UC", "head": "UC" if service == "h2" else lines["head"]["flags"], "open": "UC", "body": "UC", "after": "-",
    }


def connections(gateway, service):
    cluster = f"outbound|80||{service}-service.default.svc.cluster.local"
    return gateway.metrics().sum("envoy_cluster_upstream_cx_active", cluster_name=cluster)


@pytest.mark.parametrize("version", VERSIONS)
def test_endpoint_resets_the_stream(gateway, client, services, twin, version):
    # One that it has ended, but the gateway does not know of yet, would be another reason.
    of_twin = lambda: connections(gateway, "twin") + connections(gateway, "any")
    wait_for(lambda: twin.open_connections == of_twin(), "the gateway knows which connections are left")
    assert answer_of(client, version, "/twin/reset")[0] == 503
    wait_for(gateway.is_quiet, "nothing is left")
    assert gateway.logged("/twin/reset")["flags"] == "UR"
    assert answer_of(client, version, "/twin")[0] == 200

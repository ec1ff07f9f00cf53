"""WebSocket with HTTP/2 on one side or both (RFC 8441): python3-h2 and bytes by hand as peers, in all four pairings."""

import socket

import h2.errors
import h2.events
import h2.settings
import pytest

from tests.e2e import shop
from tests.e2e.conftest import LAB, Response, wait_for
from tests.e2e.test_50_http2 import Peer, status
from tests.lab import netns, websocket_service
from tests.lab.service import pattern

ADDRESS, PORT = "10.77.2.41", 8091
MEGABYTE = 1 << 20
VERSIONS = ["h1", "h2"]
PARTS = """\
{chat1}---
{chat2}---
{any}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: chat, namespace: default}}
spec:
  hosts: [chat.shop.example]
  gateways: [shop]
  http:
    - match: [{{uri: {{prefix: /h1}}}}]
      route: [{{destination: {{host: chat1-service}}}}]
      retries: {{attempts: 0}}
    - match: [{{uri: {{prefix: /h2}}}}]
      route: [{{destination: {{host: chat2-service}}}}]
      retries: {{attempts: 0}}
    - match: [{{uri: {{prefix: /any}}}}]
      route: [{{destination: {{host: any-service}}}}]
      retries: {{attempts: 0}}
    - match: [{{uri: {{prefix: /plain}}}}]
      route: [{{destination: {{host: checkout-service}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: chat2-service, namespace: default}}
spec:
  host: chat2-service
  trafficPolicy: {{connectionPool: {{http: {{h2UpgradePolicy: UPGRADE}}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: any-service, namespace: default}}
spec:
  host: any-service
  trafficPolicy: {{connectionPool: {{http: {{useClientProtocol: true}}}}}}
"""


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    services = {name: shop.service_yaml(name, ADDRESS, port=PORT) for name in ("chat1", "chat2", "any")}
    return new_shared_gateway(replace={"chat.yaml": PARTS.format(**services)})


@pytest.fixture(scope="module")
def got(all_services, shared_gateway):
    async def start():
        return await websocket_service.serve(netns.listen(f"{LAB}-svc", (ADDRESS, PORT)), got)

    async def stop():
        server.close()

    got = {}
    server = all_services.run(start())
    yield got
    all_services.run(stop())


class H1Tunnel:
    """A client's end over HTTP/1.1."""

    def __init__(self, client, path):
        self.sock = client.connect()
        self.sock.sendall(websocket_service.request("chat.shop.example", path))
        self.stream = self.sock.makefile("rb")
        answer = Response(self.stream)
        self.status, self.body = answer.status, answer.body
        if self.status == 101:
            assert answer.headers["sec-websocket-accept"] == websocket_service.ACCEPT

    def send(self, data):
        self.sock.sendall(data)

    def end(self):
        self.sock.shutdown(socket.SHUT_WR)

    def receive(self, n):
        return self.stream.read(n)

    def rest(self):
        return self.stream.read()

    def reset(self):
        netns.reset_at_close(self.sock)
        self.close()

    def is_reset(self):
        try:
            return self.stream.read() is None
        except ConnectionResetError:
            return True

    def close(self):
        self.stream.close()
        self.sock.close()


class H2Tunnel:
    """The same over HTTP/2."""

    def __init__(self, client, path, protocol="websocket"):
        self.peer = Peer(client)
        self.peer.wait(h2.events.RemoteSettingsChanged)
        assert self.peer.h2.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
        self.id = self.peer.h2.get_next_available_stream_id()
        head = [
            (":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", path),
            (":authority", "chat.shop.example"), ("sec-websocket-version", "13"),
        ]
        self.peer.h2.send_headers(self.id, head)
        self.peer.flush()
        answer = self.peer.wait(h2.events.ResponseReceived, self.id)
        fields = dict(answer.headers)
        assert not {"sec-websocket-accept", "upgrade", "connection"} & fields.keys()
        self.status, self.body = status(answer), b""
        if self.status != 200:
            self.body = self.rest()

    def send(self, data):
        while data:
            n = min(self.peer.h2.local_flow_control_window(self.id), 16384, len(data))
            if n == 0:
                self.peer.wait(h2.events.WindowUpdated)
                continue
            self.peer.h2.send_data(self.id, data[:n])
            self.peer.flush()
            data = data[n:]

    def end(self):
        self.peer.h2.end_stream(self.id)
        self.peer.flush()

    def take(self):
        """The bytes among the events that are there."""
        mine = [e for e in self.peer.events if isinstance(e, h2.events.DataReceived)]
        self.peer.events = [e for e in self.peer.events if e not in mine]
        self.body += b"".join(e.data for e in mine)

    def receive(self, n):
        self.take()
        while len(self.body) < n:
            self.body += self.peer.wait(h2.events.DataReceived, self.id).data
        data, self.body = self.body[:n], self.body[n:]
        return data

    def rest(self):
        self.peer.wait(h2.events.StreamEnded, self.id)
        self.take()
        data, self.body = self.body, b""
        return data

    def reset(self):
        self.peer.h2.reset_stream(self.id, h2.errors.ErrorCodes.CANCEL)
        self.peer.flush()

    def is_reset(self):
        return self.peer.wait(h2.events.StreamReset, self.id).error_code == h2.errors.ErrorCodes.CANCEL

    def close(self):
        self.peer.sock.close()


TUNNEL = {"h1": H1Tunnel, "h2": H2Tunnel}
SWITCHED = {"h1": 101, "h2": 200}
pairings = pytest.mark.parametrize("service", VERSIONS)
clients = pytest.mark.parametrize("version", VERSIONS)


@pairings
@clients
def test_bytes_pass_both_ways(gateway, client, got, version, service):
    path = f"/{service}/{version}/echo"
    tunnel = TUNNEL[version](client, path)
    assert tunnel.status == SWITCHED[version]
    sent = pattern(3, MEGABYTE)
    for at in range(0, MEGABYTE, 32768):
        tunnel.send(sent[at : at + 32768])
        assert tunnel.receive(32768) == sent[at : at + 32768]
    tunnel.end()
    assert tunnel.rest() == b"|end"
    assert got[path] == sent + b"|end"
    line = gateway.logged(path)
    assert (line["method"], line["code"], line["flags"]) == ("GET", 101, "-")
    assert (line["received"], line["sent"]) == (MEGABYTE, MEGABYTE + 4)
    tunnel.close()
    wait_for(lambda: gateway.metrics().sum("envoy_http_downstream_cx_upgrades_active") == 0, "no upgrade left")


@pairings
@clients
def test_service_may_end_first(gateway, client, got, version, service):
    path = f"/{service}/{version}/first"
    tunnel = TUNNEL[version](client, path)
    assert tunnel.rest() == b"service is done"
    tunnel.send(b"client is not")
    tunnel.end()
    wait_for(lambda: got[path] == b"client is not|end", "the client's bytes and end")
    line = gateway.logged(path)
    assert (line["code"], line["flags"], line["sent"], line["received"]) == (101, "-", 15, 13)
    tunnel.close()


@pairings
@clients
def test_resets_are_passed_on(gateway, client, got, version, service):
    path = f"/{service}/{version}/reset"
    tunnel = TUNNEL[version](client, path)
    tunnel.send(b"now")
    assert tunnel.is_reset()
    tunnel.close()
    line = gateway.logged(path)
    assert (line["code"], line["flags"]) == (101, "UC" if service == "h1" else "UR")
    path = f"/{service}/{version}/stay"
    tunnel = TUNNEL[version](client, path)
    tunnel.send(b"here")
    wait_for(lambda: got[path] == b"here", "the tunnel's bytes")
    tunnel.reset()
    line = gateway.logged(path)
    assert (line["code"], line["flags"]) == (101, "DC" if version == "h1" else "DR")
    if service == "h2":
        wait_for(lambda: got[path] == b"here|reset %d" % h2.errors.ErrorCodes.CANCEL, "the reset")
    tunnel.close()


@pairings
@clients
def test_refusals_pass(gateway, client, got, version, service):
    tunnel = TUNNEL[version](client, f"/{service}/{version}/refuse")
    assert (tunnel.status, tunnel.body) == (403, b"no")
    tunnel.close()


@clients
def test_clients_version_goes_on(gateway, client, got, version):
    tunnel = TUNNEL[version](client, f"/any/{version}/echo")
    assert tunnel.status == SWITCHED[version]
    tunnel.send(b"hello")
    assert tunnel.receive(5) == b"hello"
    tunnel.end()
    assert tunnel.rest() == b"|end"
    tunnel.close()


def test_other_protocols_are_refused(gateway, client, got):
    tunnel = H2Tunnel(client, "/h2/other/echo", "connect-udp")
    assert tunnel.status == 403
    tunnel.close()
    assert "/h2/other/echo" not in got
    line = gateway.logged("/h2/other/echo")
    assert line["details"] == "upgrade_failed"


def test_connect_is_refused(gateway, client, got):
    with Peer(client, validate_outbound_headers=False) as peer:
        stream = peer.h2.get_next_available_stream_id()
        peer.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", "chat.shop.example:443")])
        peer.flush()
        assert status(peer.wait(h2.events.ResponseReceived, stream)) == 404

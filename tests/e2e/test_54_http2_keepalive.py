"""PING frames of the gateway: a client or an endpoint that is there but says nothing any more is given up."""

import asyncio
import contextlib

import h2.events
import pytest

from tests.e2e import shop
from tests.e2e.conftest import HTTP_URL, LAB
from tests.e2e.test_50_http2 import Peer
from tests.lab import netns

ADDRESS, PORT = "10.77.2.41", 8094
RULE = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: deaf, namespace: default}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
    - match: [{uri: {prefix: /deaf}}]
      route: [{destination: {host: deaf-service}}]
      retries: {attempts: 0}
    - route: [{destination: {host: checkout-service}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: deaf-service, namespace: default}
spec:
  host: deaf-service
  trafficPolicy:
    connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 200ms, timeout: 300ms}}}
"""


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(
        # A client that answers may be slow to do so.
        spec="  http: {http2KeepAlive: {interval: 200ms, timeout: 5s}}\n",
        replace={"routes.yaml": shop.service_yaml("deaf", ADDRESS, port=PORT) + RULE},
    )


@pytest.fixture
def deaf(all_services):
    """An endpoint that takes everything and answers nothing, not even PING."""

    async def hear(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            writer.write(b"\0\0\0\4\0\0\0\0\0")  # SETTINGS
            while await reader.read(1 << 16):
                pass
        writer.close()

    async def start():
        return await asyncio.start_server(hear, sock=netns.listen(f"{LAB}-svc", (ADDRESS, PORT)))

    async def stop():
        server.close()

    server = all_services.run(start())
    yield
    all_services.run(stop())


def test_an_endpoint_that_answers_no_ping_is_given_up(gateway, client, deaf):
    before = gateway.metrics().sum("pollgate_h2_ping_timeouts_total")
    assert client.status(f"{HTTP_URL}/deaf") == 503
    line = gateway.logged("/deaf")
    assert (line["code"], line["flags"]) == (503, "UC")
    assert gateway.metrics().sum("pollgate_h2_ping_timeouts_total") == before + 1


def test_a_client_is_asked_and_given_up_when_it_does_not_answer(gateway, client, services):
    before = gateway.metrics().sum("pollgate_h2_ping_timeouts_total")
    with Peer(client) as peer:
        for _ in range(3):  # python3-h2 answers by itself
            peer.wait(h2.events.PingReceived)
        stream = peer.get("/checkout")
        peer.wait(h2.events.StreamEnded, stream)
        # Reads, and says nothing.
        with contextlib.suppress(ConnectionResetError):
            while peer.sock.recv(1 << 16):
                pass
        assert gateway.metrics().sum("pollgate_h2_ping_timeouts_total") == before + 1

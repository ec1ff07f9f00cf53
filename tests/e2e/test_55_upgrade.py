"""WebSocket through the gateway, with python3-websockets on both sides, and with bytes by hand for how tunnels end."""

import asyncio
import socket

import pytest
import websockets

from tests.e2e import shop
from tests.e2e.conftest import HTTP, HTTPS, HTTP_URL, LAB, Response, read_to_end, wait_for
from tests.lab import netns, websocket_service
from tests.lab.service import pattern

MEGABYTE = 1 << 20
# No pings of its own, which would have to be answered in time.
PATIENT = {"max_size": None, "compression": None, "ping_interval": None, "close_timeout": 60}
PARTS = """\
{chat}---
{raw}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: chat, namespace: default}}
spec:
  hosts: [chat.shop.example]
  gateways: [shop]
  http:
    - match: [{{uri: {{prefix: /raw}}}}]
      route: [{{destination: {{host: raw-service}}}}]
      retries: {{attempts: 0}}
    - route: [{{destination: {{host: chat-service}}}}]
      retries: {{attempts: 0}}
"""
CHAT, RAW = "10.77.2.41", ["10.77.2.42", "10.77.2.43"]
PORT = 8090  # other tests have services on 8080 of the same addresses


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    services = {"chat": shop.service_yaml("chat", CHAT, port=PORT), "raw": shop.service_yaml("raw", *RAW, port=PORT)}
    return new_shared_gateway(replace={"chat.yaml": PARTS.format(**services)})


async def echo(ws):
    async for message in ws:
        await ws.send(message)


@pytest.fixture(scope="module")
def chat(all_services, shared_gateway):
    async def start():
        sock = netns.listen(f"{LAB}-svc", (CHAT, PORT))
        servers.append(await websockets.serve(echo, sock=sock, **PATIENT))
        for address in RAW:
            servers.append(await websocket_service.serve(netns.listen(f"{LAB}-svc", (address, PORT)), got))

    async def stop():
        for server in servers:
            server.close()

    servers, got = [], {}
    all_services.run(start())
    yield got
    all_services.run(stop())


async def converse(sock, **options):
    url = ("wss" if "ssl" in options else "ws") + "://chat.shop.example/talk"
    async with websockets.connect(url, sock=sock, open_timeout=60, **PATIENT, **options) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
        await (await ws.ping())
        sent = pattern(7, MEGABYTE)
        # The echo of the first fills all that lies between while nobody reads it.
        for _ in range(2):
            await ws.send(sent)
        for _ in range(2):
            assert await ws.recv() == sent


@pytest.mark.parametrize("tls", [False, True], ids=["cleartext", "tls"])
def test_websocket_peers_talk(gateway, client, chat, tls):
    before = len(gateway.access_log())
    sock = client.connect(HTTPS if tls else HTTP)
    sock.setblocking(False)
    options = {"ssl": client.tls_context(), "server_hostname": "chat.shop.example"} if tls else {}
    asyncio.run(converse(sock, **options))
    line = gateway.logged("/talk", before)
    assert line["code"] == 101
    assert line["received"] > 2 * MEGABYTE and line["sent"] > 2 * MEGABYTE
    assert gateway.metrics().sum("envoy_http_downstream_cx_upgrades_total") >= 1
    wait_for(lambda: gateway.metrics().sum("envoy_http_downstream_cx_upgrades_active") == 0, "no upgrade left")


def switch(client, path, early=b""):
    sock = client.connect()
    sock.sendall(websocket_service.request("chat.shop.example", path) + early)
    stream = sock.makefile("rb")
    return sock, stream, Response(stream)


def test_early_bytes_pass_only_with_the_101(gateway, client, chat):
    sock, stream, answer = switch(client, "/raw/last", b"early")
    assert answer.status == 101
    sock.sendall(b" and late")
    sock.shutdown(socket.SHUT_WR)
    assert stream.read() == b"heard 18"
    assert chat["/raw/last"] == b"early and late|end"
    sock, stream, answer = switch(client, "/raw/refuse", b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert answer.status == 403 and answer.headers["connection"] == "close" and answer.body == b"no"
    assert read_to_end(sock) == b""
    wait_for(lambda: chat["/raw/refuse"] == b"|end", "the service sees the end, and nothing before it")


def test_service_may_end_first(gateway, client, chat):
    sock, stream, answer = switch(client, "/raw/first")
    assert answer.status == 101 and stream.read() == b"service is done"
    sock.sendall(b"client is not")
    stream.close()
    sock.close()
    wait_for(lambda: chat["/raw/first"] == b"client is not|end", "the client's bytes and end")
    line = gateway.logged("/raw/first")
    assert (line["code"], line["flags"], line["sent"], line["received"]) == (101, "-", 15, 13)


def test_resets_are_passed_on(gateway, client, chat):
    sock, _, answer = switch(client, "/raw/reset")
    assert answer.status == 101
    sock.sendall(b"now")
    with pytest.raises(ConnectionResetError):
        while sock.recv(100):
            pass
    line = gateway.logged("/raw/reset")
    assert (line["code"], line["flags"]) == (101, "UC")
    sock, stream, answer = switch(client, "/raw/stay")
    assert answer.status == 101
    netns.reset_at_close(sock)
    stream.close()
    sock.close()
    line = gateway.logged("/raw/stay")
    assert (line["code"], line["flags"]) == (101, "DC")


def test_other_protocols_are_refused(gateway, client, chat):
    url = f"{HTTP_URL}/checkout"
    assert client.status(url, "-H", "Connection: Upgrade", "-H", "Upgrade: foo") == 403
    assert client.status(url, "--http2") == 200  # h2c by Upgrade is not listened to

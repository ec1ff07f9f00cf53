"""WebSocket through the gateway, with python3-websockets on both sides, and with bytes by hand for how tunnels end."""

import asyncio
import contextlib
import socket
import ssl
import struct

import pytest
import websockets

from tests.e2e import shop
from tests.e2e.conftest import HTTP, HTTPS, LAB, Response, read_to_end, wait_for
from tests.lab import netns
from tests.lab.service import pattern

MEGABYTE = 1 << 20
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
ASK = (
    "GET {path} HTTP/1.1\r\nHost: chat.shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    services = {"chat": shop.service_yaml("chat", CHAT, port=PORT), "raw": shop.service_yaml("raw", *RAW, port=PORT)}
    return new_shared_gateway(replace={"chat.yaml": PARTS.format(**services)})


async def echo(ws):
    async for message in ws:
        await ws.send(message)


class Raw:
    """A service that switches whatever is asked for, keeps what it gets, and ends as the path says."""

    def __init__(self):
        self.got = {}
        self.writers = []

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        self.writers.append(writer)
        if path.startswith("/raw/refuse"):
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        else:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        if path == "/raw/first":
            writer.write(b"service is done")
            writer.write_eof()
        self.got[path] = b""
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while part := await reader.read(1 << 16):
                self.got[path] += part
                if path == "/raw/reset":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                    return
            self.got[path] += b"|end"
            if path == "/raw/last":
                writer.write(b"heard %d" % len(self.got[path]))
        writer.close()


@pytest.fixture(scope="module")
def chat(all_services, shared_gateway):
    async def start():
        servers.append(await websockets.serve(echo, sock=netns.listen(f"{LAB}-svc", (CHAT, PORT)), max_size=None, compression=None))
        for address in RAW:
            servers.append(await asyncio.start_server(raw.serve, sock=netns.listen(f"{LAB}-svc", (address, PORT))))

    async def stop():
        for server in servers:
            server.close()

    servers, raw = [], Raw()
    all_services.run(start())
    yield raw
    all_services.run(stop())


def tls_context(client):
    context = ssl.create_default_context(cafile=client.ca)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def converse(sock, **options):
    async with websockets.connect(("wss" if "ssl" in options else "ws") + "://chat.shop.example/talk", sock=sock, max_size=None, compression=None, **options) as ws:
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
    options = {"ssl": tls_context(client), "server_hostname": "chat.shop.example"} if tls else {}
    asyncio.run(converse(sock, **options))
    line = gateway.logged(after=before)
    assert line["code"] == 101 and line["path"] == "/talk"
    assert line["received"] > 2 * MEGABYTE and line["sent"] > 2 * MEGABYTE
    assert gateway.metrics().sum("envoy_http_downstream_cx_upgrades_total") >= 1
    wait_for(lambda: gateway.metrics().sum("envoy_http_downstream_cx_upgrades_active") == 0, "no upgrade left")


def switch(client, path, early=b""):
    sock = client.connect()
    sock.sendall(ASK.format(path=path).encode() + early)
    stream = sock.makefile("rb")
    return sock, stream, Response(stream)


def test_early_bytes_pass_only_with_the_101(gateway, client, chat):
    sock, stream, answer = switch(client, "/raw/last", b"early")
    assert answer.status == 101
    sock.sendall(b" and late")
    sock.shutdown(socket.SHUT_WR)
    assert stream.read() == b"heard 18"
    assert chat.got["/raw/last"] == b"early and late|end"
    sock, stream, answer = switch(client, "/raw/refuse", b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert answer.status == 403 and answer.headers["connection"] == "close" and answer.body == b"no"
    assert read_to_end(sock) == b""
    wait_for(lambda: chat.got["/raw/refuse"] == b"|end", "the service sees the end, and nothing before it")


def test_service_may_end_first(gateway, client, chat):
    sock, stream, answer = switch(client, "/raw/first")
    assert answer.status == 101 and stream.read() == b"service is done"
    before = len(gateway.access_log())
    sock.sendall(b"client is not")
    stream.close()
    sock.close()
    wait_for(lambda: chat.got["/raw/first"] == b"client is not|end", "the client's bytes and end")
    line = gateway.logged(after=before)
    assert (line["code"], line["flags"], line["sent"], line["received"]) == (101, "-", 15, 13)


def test_resets_are_passed_on(gateway, client, chat):
    before = len(gateway.access_log())
    sock, _, answer = switch(client, "/raw/reset")
    assert answer.status == 101
    sock.sendall(b"now")
    with pytest.raises(ConnectionResetError):
        while sock.recv(100):
            pass
    line = gateway.logged(after=before)
    assert (line["code"], line["flags"]) == (101, "UC")
    before = len(gateway.access_log())
    sock, stream, answer = switch(client, "/raw/stay")
    assert answer.status == 101
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
    sock.close()
    line = gateway.logged(after=before)
    assert (line["code"], line["flags"]) == (101, "DC")


def test_other_protocols_are_refused(gateway, client, chat):
    url = f"http://shop.example:{HTTP}/checkout"
    assert client.status(url, "-H", "Connection: Upgrade", "-H", "Upgrade: foo") == 403
    assert client.status(url, "--http2") == 200  # h2c by Upgrade is not listened to

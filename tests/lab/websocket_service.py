"""Endpoints for the lab that switch to WebSocket, over HTTP/1.1 and over HTTP/2 (RFC 8441), and take what follows as bytes.

    server = await serve(sock, got)

'got' collects what arrives, by path; b"|end" stands for the end of the direction. The last segment of the path says what it does:

    echo      sends back what it gets, then "|end", then ends
    last      "heard N", the number of bytes and of "|end" that it got, after their end
    first     "service is done", and ends its direction
    reset     resets when the first bytes arrive
    refuse    403, "no"
"""

import asyncio
import base64
import contextlib
import hashlib

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from tests.lab.service import Endpoint

# The sample of RFC 6455, 1.3.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def request(host, path):
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    ).encode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


async def serve_h1(start, reader, writer, got):
    head = start + await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    path = head.split(b" ")[1].decode()
    what = path.rsplit("/")[-1]
    got[path] = b""
    if what == "refuse":
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
    else:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-accept: " + accept_of(fields[b"sec-websocket-key"]) + b"\r\n\r\n"
        )
    if what == "first":
        writer.write(b"service is done")
        writer.write_eof()
    while part := await reader.read(1 << 16):
        got[path] += part
        if what == "reset":
            Endpoint.reset(writer)
            return
        if what == "echo":
            writer.write(part)
            await writer.drain()
    got[path] += b"|end"
    if what == "echo":
        writer.write(b"|end")
    elif what == "last":
        writer.write(b"heard %d" % len(got[path]))


class Tunnels:
    """The streams of one HTTP/2 connection. What the peer's windows do not take waits, and is not acknowledged either."""

    def __init__(self, got):
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8", validate_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        settings = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        self.got = got
        self.paths = {}
        self.waiting = {}  # stream: [bytes, bytes to acknowledge with them, end follows]

    def on_event(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            self.on_connect(stream, dict(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            self.on_data(stream, event)
        elif isinstance(event, h2.events.StreamEnded) and stream in self.waiting:
            self.got[self.paths[stream]] += b"|end"
            if self.paths[stream].endswith("/echo"):
                self.waiting[stream][0] += b"|end"
                self.waiting[stream][2] = True
        elif isinstance(event, h2.events.StreamReset):
            self.waiting.pop(stream, None)
            self.got[self.paths[stream]] += b"|reset %d" % event.error_code

    def on_connect(self, stream, head):
        path = self.paths[stream] = head[":path"]
        self.got[path] = b""
        assert head[":method"] == "CONNECT" and head[":protocol"] == "websocket" and "sec-websocket-key" not in head
        if path.endswith("/refuse"):
            self.h2.send_headers(stream, [(":status", "403"), ("content-length", "2")])
            self.h2.send_data(stream, b"no", end_stream=True)
            return
        self.h2.send_headers(stream, [(":status", "200")])
        if path.endswith("/first"):
            self.h2.send_data(stream, b"service is done", end_stream=True)
        self.waiting[stream] = [b"", 0, False]

    def on_data(self, stream, event):
        path = self.paths[stream]
        self.got[path] += event.data
        if path.endswith("/reset"):
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        elif path.endswith("/echo"):
            self.waiting[stream][0] += event.data
            self.waiting[stream][1] += event.flow_controlled_length
            return
        self.h2.acknowledge_received_data(event.flow_controlled_length, stream)

    def send_waiting(self):
        for stream, waiting in list(self.waiting.items()):
            while waiting[0]:
                n = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(waiting[0]))
                if n == 0:
                    break
                self.h2.send_data(stream, waiting[0][:n])
                waiting[0] = waiting[0][n:]
                n = min(n, waiting[1])
                waiting[1] -= n
                if n > 0:
                    self.h2.acknowledge_received_data(n, stream)
            if not waiting[0] and waiting[2]:
                self.h2.end_stream(stream)
                del self.waiting[stream]


async def serve_h2(start, reader, writer, got):
    tunnels = Tunnels(got)
    data = start
    with contextlib.suppress(h2.exceptions.ProtocolError):
        while data:
            for event in tunnels.h2.receive_data(data):
                tunnels.on_event(event)
            tunnels.send_waiting()
            writer.write(tunnels.h2.data_to_send())
            await writer.drain()
            data = await reader.read(1 << 16)


async def serve(sock, got):
    async def on_connection(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            start = await reader.readexactly(4)
            await (serve_h2 if start == b"PRI " else serve_h1)(start, reader, writer, got)
        writer.close()

    return await asyncio.start_server(on_connection, sock=sock)

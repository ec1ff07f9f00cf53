#!/usr/bin/python3
"""Services of the demo shop: an HTTP/1.1 server for many endpoints whose misbehaviour can be chosen.

As a module: Services(namespace).add("inventory-1", "10.77.2.21"); services.set("inventory-1", "status:503").
As a program: service.py --netns pg-svc --control SOCKET inventory=10.77.2.21,10.77.2.22 ...
              service.py --ctl SOCKET set inventory-1 status:503
              service.py --ctl SOCKET counts

What a healthy endpoint answers (a first path segment that is the service's name is ignored):

    /                  200, "NAME\\n"
    /bytes/N           N bytes of pattern(); ?chunked=1 without a length; ?trailers=1 with trailers
    /echo              the request's body, framed as it came
    /sum               {"length": ..., "sha256": ...} of the request's body
    /headers           {"method", "target", "headers": [[name, value], ...]} as received
    /status/CODE       that status
    /delay/MS          200 after MS milliseconds
    /close             200 with Connection: close
    /early             200 before the request's body is read, then closes
    /hints             103 Early Hints, then 200
    /trailers          200, "ok", with the request's trailers as its own
    /hang              nothing; counts in 'cut' when the request is given up
    /abort/STAGE       the connection ends before, in (head) or after (open) the head, in the body, or after the end

Modes (of an endpoint, until changed): ok, status:CODE, slow:SECONDS, reset (RST after the request), close (FIN after the
request), stall (no answer), garbage (an answer that is no HTTP), truncate (FIN in the middle of the body), reject (RST at
once, no request read), down (nothing listens).
"""

import argparse
import asyncio
import hashlib
import json
import os
import socket
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from tests.lab import netns  # noqa: E402

PATTERN = bytes(range(256)) * 256


def pattern(start, length):
    """Bytes that differ at each position of a 64 KiB period, so that a shifted or lost part shows."""
    out = bytearray()
    while length > 0:
        offset = start % len(PATTERN)
        part = PATTERN[offset : offset + length]
        out += part
        start += len(part)
        length -= len(part)
    return bytes(out)


class Request:
    def __init__(self, method, target, headers):
        self.method = method
        self.target = target
        self.headers = headers
        self.trailers = []  # lines, once the body is read
        self.chunked = self.get("transfer-encoding", "").lower() == "chunked"
        self.length = int(self.get("content-length", "0"))

    def get(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return default


class Endpoint:
    def __init__(self, name, address, port):
        self.name = name
        self.service = name.rsplit("-", 1)[0]
        self.address = (address, port)
        self.mode = "ok"
        self.requests = 0  # heads read
        self.connections = 0
        self.open_connections = 0
        self.cut = 0  # requests that were given up before they were answered
        self.seen = []  # (method, target) of the last requests
        self.server = None

    async def body(self, reader, request):
        """Yields the parts of the request's body."""
        if request.chunked:
            while True:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                if size == 0:
                    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
                        request.trailers.append(line)
                    return
                left = size
                while left > 0:
                    part = await reader.read(min(left, 1 << 18))
                    if not part:
                        raise asyncio.IncompleteReadError(b"", left)
                    left -= len(part)
                    yield part
                await reader.readexactly(2)
        left = 0 if request.chunked else request.length
        while left > 0:
            part = await reader.read(min(left, 1 << 18))
            if not part:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(part)
            yield part

    async def read_all(self, reader, request):
        async for _ in self.body(reader, request):
            pass

    def head(self, status, headers=(), length=None, reason="OK"):
        lines = [f"HTTP/1.1 {status} {reason}", f"x-endpoint: {self.name}"]
        lines += [f"{k}: {v}" for k, v in headers]
        if length is not None:
            lines.append(f"content-length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def whole(self, status, body=b"", headers=(), request=None):
        out = self.head(status, headers, None if status in (204, 304) else len(body))
        return out if request is not None and request.method == "HEAD" else out + body

    async def misbehave(self, reader, writer, request):
        """Answers by the mode; returns True if the connection can go on."""
        kind, _, argument = self.mode.partition(":")
        await self.read_all(reader, request)
        if kind == "status":
            writer.write(self.whole(int(argument), f"{self.name} fails\n".encode(), request=request))
            return True
        if kind == "slow":
            await asyncio.sleep(float(argument))
            writer.write(self.whole(200, f"{self.name}\n".encode(), request=request))
            return True
        if kind == "reset":
            self.reset(writer)
        elif kind == "stall":
            await reader.read()
        elif kind == "garbage":
            writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        elif kind == "truncate":
            writer.write(self.head(200, length=100000) + pattern(0, 5000))
        return False

    @staticmethod
    def reset(writer):
        netns.reset_at_close(writer.get_extra_info("socket"))
        writer.transport.abort()

    async def abort(self, writer, stage):
        if stage == "before":
            self.reset(writer)
            return
        out = self.head(200, length=6000)
        if stage == "head":
            out = out[:-3]
        elif stage == "body":
            out += pattern(0, 5000)
        elif stage == "after":
            out += pattern(0, 6000)
        writer.write(out)
        await writer.drain()

    async def bytes_answer(self, writer, request, n, query):
        chunked = "chunked" in query or "trailers" in query
        headers = [("content-type", "application/octet-stream")]
        if "trailers" in query:
            headers.append(("trailer", "x-sum"))
        if chunked:
            headers.append(("transfer-encoding", "chunked"))
        writer.write(self.head(200, headers, None if chunked else n))
        if request.method == "HEAD":
            return
        sent = 0
        while sent < n:
            part = pattern(sent, min(n - sent, 1 << 16))
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            sent += len(part)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n" + (b"x-sum: done\r\n" if "trailers" in query else b"") + b"\r\n")

    async def answer(self, reader, writer, request):
        """Returns True if the connection can go on."""
        if self.mode != "ok":
            return await self.misbehave(reader, writer, request)
        url = urllib.parse.urlsplit(request.target)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        parts = [p for p in url.path.split("/") if p]
        if parts and self.service.startswith(parts[0]):
            parts = parts[1:]
        what = parts[0] if parts else ""
        if what == "early":
            writer.write(self.whole(200, b"early\n", [("connection", "close")]))
            return False
        if what == "hang":
            await self.read_all(reader, request)
            await reader.read()
            self.cut += 1
            return False
        if what == "abort":
            await self.read_all(reader, request)
            await self.abort(writer, parts[1])
            return False
        if what == "echo":
            framing = ("transfer-encoding", "chunked") if request.chunked else ("content-length", request.length)
            writer.write(self.head(200, [framing]))
            async for part in self.body(reader, request):
                writer.write(b"%x\r\n%b\r\n" % (len(part), part) if request.chunked else part)
                await writer.drain()
            if request.chunked:
                writer.write(b"0\r\n\r\n")
            return True
        digest, length = hashlib.sha256(), 0
        if request.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for part in self.body(reader, request):
            digest.update(part)
            length += len(part)
        if what == "bytes":
            await self.bytes_answer(writer, request, int(parts[1]), query)
        elif what == "sum":
            body = json.dumps({"length": length, "sha256": digest.hexdigest()}).encode()
            writer.write(self.whole(200, body, request=request))
        elif what == "headers":
            body = {"method": request.method, "target": request.target, "headers": request.headers}
            writer.write(self.whole(200, json.dumps(body).encode(), request=request))
        elif what == "trailers":
            writer.write(self.head(200, [("transfer-encoding", "chunked")]))
            writer.write(b"2\r\nok\r\n0\r\n" + b"".join(request.trailers) + b"\r\n")
        elif what == "status":
            writer.write(self.whole(int(parts[1]), b"status\n", request=request))
        elif what == "delay":
            await asyncio.sleep(int(parts[1]) / 1000)
            writer.write(self.whole(200, f"{self.name}\n".encode(), request=request))
        elif what == "close":
            writer.write(self.whole(200, f"{self.name}\n".encode(), [("connection", "close")], request))
            return False
        else:
            if what == "hints":
                writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
            writer.write(self.whole(200, f"{self.name}\n".encode(), request=request))
        return True

    async def serve(self, reader, writer):
        self.connections += 1
        self.open_connections += 1
        request = None
        try:
            while self.mode != "reject":
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head[:-4].split("\r\n")
                method, target, _ = lines[0].split(" ")
                request = Request(method, target, [tuple(line.split(": ", 1)) for line in lines[1:]])
                self.requests += 1
                self.seen = self.seen[-99:] + [(method, target)]
                if not await self.answer(reader, writer, request):
                    break
                await writer.drain()
                request = None
            if self.mode == "reject":
                self.reset(writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError, ConnectionError):
            self.cut += request is not None
        finally:
            self.open_connections -= 1
            writer.close()


class Services:
    """Endpoints on a thread of their own. Methods may be called from any thread."""

    def __init__(self, namespace, services=()):
        """'services' maps names to addresses, whose endpoints become NAME-1, NAME-2 and so on."""
        self.namespace = namespace
        self.endpoints = {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        for name, addresses in dict(services).items():
            for i, address in enumerate(addresses, 1):
                self.add(f"{name}-{i}", address)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def _start(self, endpoint):
        sock = netns.listen(self.namespace, endpoint.address)
        endpoint.server = await asyncio.start_server(endpoint.serve, sock=sock, limit=1 << 18)

    def add(self, name, address, port=8080, kind=Endpoint):
        endpoint = kind(name, address, port)
        self.endpoints[name] = endpoint
        self.run(self._start(endpoint))
        return endpoint

    def set(self, name, mode):
        """'name' is an endpoint, a service (all its endpoints) or "*"."""
        chosen = [e for e in self.endpoints.values() if name in (e.name, e.service, "*")]
        if not chosen:
            raise KeyError(name)
        for endpoint in chosen:
            self.run(self._set(endpoint, mode))

    async def _set(self, endpoint, mode):
        if mode == "down" and endpoint.server is not None:
            endpoint.server.close()
            endpoint.server = None
        elif mode != "down" and endpoint.server is None:
            await self._start(endpoint)
        endpoint.mode = mode

    def counts(self):
        return {e.name: e.requests for e in self.endpoints.values()}

    def reset_counts(self):
        for e in self.endpoints.values():
            e.requests = 0
            e.cut = 0
            e.seen = []

    def stop(self):
        async def close():
            for e in self.endpoints.values():
                if e.server is not None:
                    e.server.close()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()

        self.run(close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


def control_server(services, path):
    if os.path.exists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(8)
    while True:
        connection, _ = sock.accept()
        with connection:
            words = json.loads(connection.makefile().readline())
            try:
                answer = services.counts() if words[0] == "counts" else services.set(*words[1:])
            except (KeyError, TypeError) as error:
                answer = {"error": str(error)}
            connection.sendall(json.dumps(answer).encode())


def control(path, words):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(json.dumps(words).encode() + b"\n")
        answer = json.loads(s.makefile().read())
    if isinstance(answer, dict) and "error" in answer:
        sys.exit(f"service: {answer['error']}")
    if answer is not None:
        print(json.dumps(answer))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--netns")
    parser.add_argument("--control")
    parser.add_argument("--ctl")
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    if arguments.ctl:
        return control(arguments.ctl, arguments.words)
    words = (word.partition("=") for word in arguments.words)
    services = Services(arguments.netns, {name: addresses.split(",") for name, _, addresses in words})
    control_server(services, arguments.control)


if __name__ == "__main__":
    main()

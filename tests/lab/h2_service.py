"""An endpoint for the lab that speaks HTTP/2 with prior knowledge, by python3-h2, and HTTP/1.1 to who begins so.

    services.add("twin-1", "10.77.2.42", kind=h2_service.TwinEndpoint)

In HTTP/2 it answers (a first path segment that is the service's name is ignored):

    /                  200, "NAME\\n", x-protocol: h2
    /bytes/N           N bytes of pattern()
    /trailers          200, "ok", with the request's trailers as its own
    /hang              nothing; counts in 'cut' when the request is given up
    /abort/STAGE       the connection ends before, in (head) or after (open) the head, in the body, or after the end
    /reset             RST_STREAM (INTERNAL_ERROR)
    /refuse            RST_STREAM (REFUSED_STREAM) for the first request, then as /
    /goaway            GOAWAY that leaves the request out for the first one, then as /
"""

import asyncio
import urllib.parse

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.lab.service import Endpoint, pattern


class TwinEndpoint(Endpoint):
    def __init__(self, name, address, port):
        super().__init__(name, address, port)
        self.refused = False

    async def serve(self, reader, writer):
        start = await reader.read(4)
        if start == b"PRI ":
            await self.serve_h2(start, reader, writer)
        else:
            reader._buffer[:0] = start  # as if it had not been read
            await super().serve(reader, writer)

    async def serve_h2(self, start, reader, writer):
        self.connections += 1
        self.open_connections += 1
        connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        connection.initiate_connection()
        requests = {}
        try:
            data = start
            while data and not writer.is_closing():
                for event in connection.receive_data(data):
                    await self.on_event(connection, requests, event, writer)
                if not writer.is_closing():
                    writer.write(connection.data_to_send())
                    await writer.drain()
                    data = await reader.read(1 << 16)
        except (h2.exceptions.ProtocolError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.cut += sum(1 for r in requests.values() if not r["answered"])
            self.open_connections -= 1
            writer.close()

    async def on_event(self, connection, requests, event, writer):
        if isinstance(event, h2.events.RequestReceived):
            head = dict(event.headers)
            self.requests += 1
            self.seen = self.seen[-99:] + [(head[":method"], head[":path"])]
            requests[event.stream_id] = {"path": head[":path"], "trailers": [], "answered": False}
        elif isinstance(event, h2.events.DataReceived):
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            requests[event.stream_id]["trailers"] = event.headers
        elif isinstance(event, h2.events.StreamReset):
            self.cut += not requests.pop(event.stream_id)["answered"]
        elif isinstance(event, h2.events.StreamEnded):
            request = requests[event.stream_id]
            request["answered"] = await self.answer_h2(connection, event.stream_id, request, writer)

    async def answer_h2(self, connection, stream, request, writer):
        """Returns False if the request stays without an answer."""
        parts = [p for p in urllib.parse.urlsplit(request["path"]).path.split("/") if p]
        if parts and self.service.startswith(parts[0]):
            parts = parts[1:]
        what = parts[0] if parts else ""
        if what == "hang":
            return False
        if what == "abort":
            await self.abort_h2(connection, stream, parts[1], writer)
        elif what == "reset":
            connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif what == "refuse" and not self.refused:
            self.refused = True
            connection.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif what == "goaway" and not self.refused:
            self.refused = True
            connection.close_connection(last_stream_id=0)
        elif what == "trailers":
            connection.send_headers(stream, [(":status", "200"), ("x-protocol", "h2")])
            connection.send_data(stream, b"ok", end_stream=not request["trailers"])
            if request["trailers"]:
                connection.send_headers(stream, request["trailers"], end_stream=True)
        else:
            body = pattern(0, int(parts[1])) if what == "bytes" else f"{self.name}\n".encode()
            connection.send_headers(stream, [(":status", "200"), ("x-protocol", "h2"), ("content-length", str(len(body)))])
            connection.send_data(stream, body, end_stream=True)
        return True

    async def abort_h2(self, connection, stream, stage, writer):
        if stage == "before":
            self.reset(writer)
            return
        connection.send_headers(stream, [(":status", "200"), ("content-length", "6000")])
        out = connection.data_to_send()
        if stage == "head":
            out = out[:-3]
        elif stage in ("body", "after"):
            connection.send_data(stream, pattern(0, 5000))
            out += connection.data_to_send()
        if stage == "after":
            connection.send_data(stream, pattern(5000, 1000), end_stream=True)
            out += connection.data_to_send()
        writer.write(out)
        await writer.drain()
        writer.close()

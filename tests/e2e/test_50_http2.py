"""HTTP/2 from clients, with curl, h2load and python3-h2 as peers, to services that speak HTTP/1.1.

Bodies of each size: test_52_pairings.py.
"""

import re

import h2.config
import h2.connection
import h2.events
import h2.errors
import pytest

from tests.e2e.conftest import GATEWAY, HTTPS, HTTPS_URL, HTTP_URL, wait_for



class Peer:
    """A client made of frames."""

    def __init__(self, client, tls=True, **config):
        self.sock = client.connect_tls(alpn=("h2",)) if tls else client.connect()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8", **config))
        self.h2.initiate_connection()
        self.flush()
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def get(self, path, method="GET", end=True, fields=()):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", "shop.example"), (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    def wait(self, kind, stream=None, acknowledge=True):
        """Reads until an event of that kind comes, for that stream if there is one; returns it."""
        while True:
            for i, event in enumerate(self.events):
                if isinstance(event, kind) and (stream is None or getattr(event, "stream_id", None) == stream):
                    return self.events.pop(i)
            data = self.sock.recv(1 << 16)
            assert data, f"closed without {kind.__name__}; had {self.events}"
            for event in self.h2.receive_data(data):
                self.events.append(event)
                if acknowledge and isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()

    def body(self, stream):
        self.wait(h2.events.StreamEnded, stream)
        mine = [e for e in self.events if isinstance(e, h2.events.DataReceived) and e.stream_id == stream]
        self.events = [e for e in self.events if e not in mine]
        return b"".join(e.data for e in mine)


def status(event):
    return int(dict(event.headers)[":status"])


@pytest.mark.parametrize("arguments", [(HTTPS_URL, "--http2"), (HTTP_URL, "--http2-prior-knowledge")], ids=["alpn", "cleartext"])
def test_curl_speaks_http2(gateway, client, services, arguments):
    url, option = arguments
    answer = client.curl(f"{url}/checkout", option, "-w", " %{http_version} %{http_code}")
    assert answer.stdout.startswith("checkout-") and answer.stdout.endswith(" 2 200")
    wait_for(lambda: gateway.access_log() and gateway.access_log()[-1]["code"] == 200, "the access log line")


def test_h2load_gets_every_answer(gateway, client, services):
    process = client.popen(
        "timeout", "300", "h2load", "-n", "2000", "-c", "8", "-m", "16", f"{HTTPS_URL}/checkout",
        "--connect-to", f"{GATEWAY}:{HTTPS}", stdout=-1, stderr=-1, text=True,
    )
    out, _ = process.communicate()
    assert re.search(r"2000 succeeded, 0 failed, 0 errored", out), out

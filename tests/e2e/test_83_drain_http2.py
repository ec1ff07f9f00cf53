"""SIGTERM while a client of HTTP/2 goes on asking: it is told twice, and what it asks until the second time is answered."""

import threading

import h2.events
import hyperframe.frame

from tests.e2e.conftest import Client, wait_for
from tests.e2e.test_50_http2 import Peer, status

NOT_YET = (1 << 31) - 1  # the first GOAWAY leaves no stream out


class DrainedPeer(Peer):
    """Keeps GOAWAY from python3-h2, which would send nothing after the first one."""

    def __init__(self, client):
        self.pending = b""
        self.goaways = []
        self.statuses = {}
        self.ended = set()
        super().__init__(client)

    def read(self):
        """Reads once; False when the connection has ended."""
        data = self.sock.recv(1 << 16)
        self.pending += data
        while len(self.pending) >= 9:
            frame, length = hyperframe.frame.Frame.parse_frame_header(memoryview(self.pending[:9]))
            if len(self.pending) < 9 + length:
                break
            whole, self.pending = self.pending[: 9 + length], self.pending[9 + length :]
            if isinstance(frame, hyperframe.frame.GoAwayFrame):
                frame.parse_body(memoryview(whole[9:]))
                self.goaways.append((frame.last_stream_id, frame.error_code))
            else:
                for event in self.h2.receive_data(whole):
                    self.note(event)
        self.flush()
        return data != b""

    def note(self, event):
        assert not isinstance(event, h2.events.StreamReset), event
        if isinstance(event, h2.events.ResponseReceived):
            self.statuses[event.stream_id] = status(event)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)


def test_sigterm_loses_no_request_of_http2(new_gateway, services):
    gateway = new_gateway(drain="20s")
    with DrainedPeer(Client(gateway)) as peer:
        streams = [peer.get("/checkout")]
        while streams[-1] not in peer.ended:
            assert peer.read()
        slow = peer.get("/checkout/delay/7000")  # longer than what lies between the two GOAWAYs
        wait_for(lambda: sum(services.counts().values()) == 2, "the service has the slow request")
        result = []
        stopper = threading.Thread(target=lambda: result.append(gateway.stop(drain=True)))
        stopper.start()
        # The client pays no heed to the first GOAWAY: everything may have been on the way already.
        while [last for last, _ in peer.goaways] in ([], [NOT_YET]):
            streams.append(peer.get("/checkout"))
            while streams[-1] not in peer.ended and len(peer.goaways) < 2:
                assert peer.read()
        while peer.read():
            pass
        stopper.join(60)
    assert result == [0], gateway.output()[-4000:]
    assert [code for _, code in peer.goaways] == [0, 0] and peer.goaways[0][0] == NOT_YET
    last = peer.goaways[1][0]
    kept = [s for s in [*streams, slow] if s <= last]
    assert len(kept) >= len(streams)  # at most the one that crossed the second GOAWAY was left out
    assert [s for s in kept if s not in peer.ended or peer.statuses[s] != 200] == []

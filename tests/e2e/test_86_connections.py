"""pollgatectl connections: who is there, whose they are, and what they wait for."""

import json

import pytest

from tests.e2e.conftest import HTTP, HTTPS, wait_for

REQUEST = b"GET /checkout HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@pytest.fixture
def connections(gateway):
    def ask(*words):
        return json.loads(gateway.ctl("connections", *words).stdout)["connections"]

    return ask


def test_both_sides_of_a_request_are_found_by_what_they_are(client, services, connections):
    with client.connect() as s:
        s.sendall(REQUEST)
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
        port = s.getsockname()[1]
        # The client's kernel may take its time to acknowledge the answer.
        (down,) = wait_for(lambda: connections(f":{port}", "waits=application"), "nothing is unacknowledged")
        assert (down["state"], down["direction"], down["waits_for"]) == ("ESTABLISHED", "downstream", "application")
        assert down["local"].endswith(f":{HTTP}") and down["of"].endswith(f"_{HTTP}")
        assert down["srtt_us"] > 0 and down["cwnd"] > 0
        up = connections("direction=upstream", "established", "name=checkout")
        assert up and all("checkout" in c["of"] and c["remote"].endswith(":8080") for c in up)
        assert connections("direction=upstream", f":{port}") == []
        assert connections(f"local=:{port}") == []
        assert connections("idle=100000") == []


def test_detail_says_how_it_speaks(client, services, connections):
    with client.connect_tls() as s:
        s.sendall(REQUEST)
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
        (c,) = connections(f"remote=:{s.getsockname()[1]}", "detail")
        assert c["protocol"] == "tls http/1.1"
        assert c["local"].endswith(f":{HTTPS}")
        assert c["path"]["mss"] > 500 and c["path"]["sack"] and c["path"]["congestion_control"] == "cubic"
        assert c["sending"]["bytes"] > 1000 and c["receiving"]["bytes"] > 200


def test_a_client_that_does_not_read_is_waited_for(client, services, connections):
    with client.connect() as s:
        s.sendall(b"GET /checkout/bytes/20000000 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        port = s.getsockname()[1]
        # Until its buffer is full, the window may open again.
        full = lambda: [
            c
            for c in connections(f"remote=:{port}", "waits=peer-window", "queued=10000", "detail")
            if c["sending"]["unsent"] > 0
        ]
        (c,) = wait_for(full, "its window is full")
        assert c["memory"] >= c["send_queued"] > 0


def test_pages_and_errors(gateway, client, services, connections):
    sockets = [client.connect() for _ in range(5)]
    try:
        mine = {s.getsockname()[1] for s in sockets}

        def are_alone():
            return {int(c["remote"].rsplit(":", 1)[1]) for c in connections("direction=downstream", "established")} == mine

        wait_for(are_alone, "all are there, and those of the tests before are gone")
        answer = gateway.ctl("connections", "direction=downstream", "limit=2")
        assert len(json.loads(answer.stdout)["connections"]) == 2
        assert answer.stderr.startswith("2 of ")
        rest = connections("direction=downstream", "skip=2")
        seen = {int(c["remote"].rsplit(":", 1)[1]) for c in rest + connections("direction=downstream", "limit=2")}
        assert mine <= seen
    finally:
        for s in sockets:
            s.close()
    wrong = gateway.ctl("connections", "queued=many", check=False)
    assert wrong.returncode == 2 and "expected a number of bytes" in wrong.stderr

"""SIGTERM: what was accepted is answered."""

import signal
import socket

import pytest

from tests.e2e.conftest import GATEWAY, HTTP, LAB, Client, Response, wait_for
from tests.e2e.load import Load
from tests.lab import netns


def test_sigterm_under_load_fails_no_accepted_request(new_gateway, services):
    gateway = new_gateway(drain="20s")
    client = Client(gateway)
    with Load(client) as load:
        wait_for(lambda: load.answered > 200, "load runs")
        assert gateway.stop(drain=True) == 0
    assert not load.failures, gateway.output()[-4000:]


def test_drain_lets_a_slow_request_finish(new_gateway, services):
    gateway = new_gateway(drain="20s")
    client = Client(gateway)
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"GET /checkout/delay/3000 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        wait_for(lambda: sum(services.counts().values()) == 1, "the service has the request")
        assert gateway.stop(drain=True) == 0
        answer = Response(stream)
        assert (answer.status, answer.headers["connection"]) == (200, "close")


def ask_with_a_small_window(gateway):
    """Returns a socket for which the exchange is over, and most of the answer of 100,000 bytes waits in the gateway's TCP."""
    with netns.inside(f"{LAB}-client"):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    s.settimeout(60)
    s.connect((GATEWAY, HTTP))
    s.sendall(b"GET /checkout/bytes/100000 HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")
    wait_for(lambda: len(gateway.access_log()) == 1 and gateway.is_quiet(), "the exchange is over")
    return s


def test_an_answer_that_the_client_has_not_taken_yet_arrives_whole(new_gateway, services):
    gateway = new_gateway(drain="20s")
    with ask_with_a_small_window(gateway) as s, s.makefile("rb") as stream:
        gateway.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not netns.accepts(f"{LAB}-client", (GATEWAY, HTTP)), "new connections are refused")
        assert len(Response(stream).body) == 100_000


def test_a_client_that_takes_nothing_is_told_of_the_end(new_gateway, services):
    gateway = new_gateway(drain="3s")
    with ask_with_a_small_window(gateway) as s:
        assert gateway.stop() == 0, gateway.output()[-4000:]
        with pytest.raises(ConnectionResetError):
            while s.recv(100_000):
                pass

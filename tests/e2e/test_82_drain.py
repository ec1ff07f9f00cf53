"""SIGTERM: what was accepted is answered."""

from tests.e2e.conftest import Client, Response, wait_for
from tests.e2e.load import Load


def test_sigterm_under_load_fails_no_accepted_request(new_gateway, services):
    gateway = new_gateway()
    client = Client(gateway.config / "ca.crt")
    load = Load(client)
    try:
        wait_for(lambda: load.answered > 200, "load runs")
        assert gateway.stop(drain=True) == 0
    finally:
        load.stop()
    assert not load.failures, gateway.output()[-4000:]


def test_drain_lets_a_slow_request_finish(new_gateway, services):
    gateway = new_gateway()
    client = Client(gateway.config / "ca.crt")
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"GET /checkout/delay/3000 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        wait_for(lambda: sum(services.counts().values()) == 1, "the service has the request")
        assert gateway.stop(drain=True) == 0
        answer = Response(stream)
        assert (answer.status, answer.headers["connection"]) == (200, "close")

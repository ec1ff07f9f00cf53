"""Malformed requests are refused, counted, logged, and never forwarded."""

import pytest

from tests.e2e.conftest import Response, read_to_end, wait_for

CASES = {
    "both lengths": (b"POST /checkout HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400),
    "two content-lengths": (b"POST /checkout HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
    "signed content-length": (b"POST /checkout HTTP/1.1\r\nhost: shop.example\r\ncontent-length: +3\r\n\r\nabc", 400),
    "space before colon": (b"GET /checkout HTTP/1.1\r\nhost : shop.example\r\n\r\n", 400),
    "folded line": (b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\nx: a\r\n b\r\n\r\n", 400),
    "bare LF": (b"GET /checkout HTTP/1.1\nhost: shop.example\n\n", 400),
    "bare CR": (b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\nx: a\rb\r\n\r\n", 400),
    "NUL in a value": (b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\nx: a\0b\r\n\r\n", 400),
    "no host": (b"GET /checkout HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\nhost: shop.example\r\n\r\n", 400),
    "method with a space": (b"GE T /checkout HTTP/1.1\r\nhost: shop.example\r\n\r\n", 400),
    "unknown transfer coding": (b"POST /checkout HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: gzip\r\n\r\n", 501),
    "TLS on the plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "HTTP/1.0": (b"GET /checkout HTTP/1.0\r\nhost: shop.example\r\n\r\n", 426),
    "too many fields": (b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431),
    "too long head": (b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\nx: " + b"y" * 70000 + b"\r\n\r\n", 431),
}


@pytest.mark.parametrize("name", CASES)
def test_malformed_request_is_refused_and_the_connection_closed(gateway, client, services, name):
    request, status = CASES[name]
    lines = len(gateway.access_log())
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(request)
        answer = Response(stream)
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert read_to_end(s) == b""
    assert services.counts() == dict.fromkeys(services.counts(), 0)
    wait_for(lambda: len(gateway.access_log()) == lines + 1, "one line in the access log")
    assert gateway.access_log()[-1]["code"] == status


def test_bad_chunk_in_a_body_ends_the_request(gateway, client, services):
    with client.connect() as s:
        s.sendall(b"POST /checkout/sum HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcX\r\n")
        answer = read_to_end(s)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_no_route_and_unknown_host_are_404(gateway, client, services):
    def refused():
        return sum(e["flags"] == "NR" for e in gateway.access_log())

    before = refused()
    for request in (
        b"GET /nowhere HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        b"GET /checkout HTTP/1.1\r\nhost: other.example\r\n\r\n",
    ):
        with client.connect() as s, s.makefile("rb") as stream:
            s.sendall(request)
            assert Response(stream).status == 404
    wait_for(lambda: refused() == before + 2, "both lines in the access log")


def test_smuggled_request_never_reaches_a_service(gateway, client, services):
    """The hidden request is the body of the first one to whoever counts lengths, a request to whoever reads chunks."""
    with client.connect() as s:
        s.sendall(
            b"POST /checkout HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 49\r\ntransfer-encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /checkout/admin HTTP/1.1\r\nhost: shop.example\r\n\r\n"
        )
        answer = read_to_end(s)
        assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1
    assert sum(services.counts().values()) == 0

"""Bytes through the gateway with the kernel's TCP and curl on both sides: sizes, framings, ends."""

import hashlib
import json
import threading

import pytest

from tests.e2e.conftest import HTTPS_URL, HTTP_URL, Response, wait_for
from tests.lab.service import pattern



def upload(client, path, size, *arguments, tmp_path):
    body = pattern(0, size)
    (tmp_path / "body").write_bytes(body)
    answer = client.curl(HTTPS_URL + path, "--data-binary", f"@{tmp_path}/body", *arguments)
    assert json.loads(answer.stdout) == {"length": size, "sha256": hashlib.sha256(body).hexdigest()}


def download(client, url, size, *arguments, **options):
    answer = client.curl(url, *arguments, text=False, **options)
    assert len(answer.stdout) == size
    assert hashlib.sha256(answer.stdout).digest() == hashlib.sha256(pattern(0, size)).digest()


def test_https_get(gateway, client, services):
    assert client.curl(f"{HTTPS_URL}/checkout").stdout.startswith("checkout-")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_https_get_with_each_tls_version(gateway, client, services, version):
    arguments = [f"--tlsv{version}", "--tls-max", version]
    assert client.curl(f"{HTTPS_URL}/checkout", *arguments).stdout.startswith("checkout-")


def test_post_of_10_megabytes_arrives_whole(gateway, client, services, tmp_path):
    upload(client, "/checkout/sum", 10_000_000, tmp_path=tmp_path)


def test_chunked_post_arrives_whole(gateway, client, services, tmp_path):
    upload(client, "/checkout/sum", 1_000_001, "-H", "Transfer-Encoding: chunked", tmp_path=tmp_path)


def test_download_of_100_megabytes_arrives_whole(gateway, client, services):
    download(client, f"{HTTPS_URL}/checkout/bytes/100000000", 100_000_000)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1_000_000])
@pytest.mark.parametrize("framing", ["", "?chunked=1"])
def test_download_of_each_size_and_framing(gateway, client, services, size, framing):
    download(client, f"{HTTP_URL}/checkout/bytes/{size}{framing}", size)


def test_trailers_reach_the_client(gateway, client, services):
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"GET /checkout/bytes/10?trailers=1 HTTP/1.1\r\nhost: shop.example\r\nte: trailers\r\n\r\n")
        answer = Response(stream)
        assert answer.body == pattern(0, 10)
        assert answer.trailers == {"x-sum": "done"}


def test_head_has_no_body_and_the_connection_goes_on(gateway, client, services):
    with client.connect() as s, s.makefile("rb") as stream:
        for _ in range(2):
            s.sendall(b"HEAD /checkout/bytes/1234 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            answer = Response(stream, "HEAD")
            assert (answer.status, answer.headers["content-length"]) == (200, "1234")


def test_a_thousand_requests_on_one_connection(gateway, client, services):
    with client.connect_tls() as s, s.makefile("rb") as stream:
        for i in range(1000):
            s.sendall(b"GET /checkout/bytes/%d HTTP/1.1\r\nhost: shop.example\r\n\r\n" % i)
            answer = Response(stream)
            assert (answer.status, answer.body) == (200, pattern(0, i))
    assert sum(services.counts().values()) == 1000


def test_200_connections_at_once(gateway, client, services):
    sockets = [client.connect() for _ in range(200)]
    for i, s in enumerate(sockets):
        s.sendall(b"GET /checkout/bytes/%d HTTP/1.1\r\nhost: shop.example\r\n\r\n" % (i * 100))
    for i, s in enumerate(sockets):
        with s, s.makefile("rb") as stream:
            answer = Response(stream)
            assert (answer.status, answer.body) == (200, pattern(0, i * 100))


def test_pipelined_requests_are_answered_in_order(gateway, client, services):
    sizes = [5000, 1, 0, 70000, 3]
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(
            b"".join(
                b"GET /checkout/bytes/%d%s HTTP/1.1\r\nhost: shop.example\r\n\r\n" % (n, b"?chunked=1" if n % 2 else b"")
                for n in sizes
            )
        )
        for n in sizes:
            assert Response(stream).body == pattern(0, n)


def test_client_that_half_closes_gets_its_answer(gateway, client, services):
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"POST /checkout/delay/300 HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\nabc")
        s.shutdown(1)
        assert Response(stream).status == 200
        assert stream.read() == b""


def test_client_that_stops_reading_stalls_only_itself(gateway, client, services):
    """Memory stays bounded and the others are served; what was held back arrives when it reads again."""
    size = 30_000_000
    slow = client.connect()
    slow.sendall(b"GET /checkout/bytes/%d HTTP/1.1\r\nhost: shop.example\r\n\r\n" % size)
    stream = slow.makefile("rb")
    filter = (f"remote=:{slow.getsockname()[1]}", "waits=peer-window")
    wait_for(lambda: json.loads(gateway.ctl("connections", *filter).stdout)["connections"], "its window is full")
    before = gateway.memory_kib()
    for _ in range(50):
        assert client.status(f"{HTTP_URL}/checkout") == 200
    download(client, f"{HTTP_URL}/checkout/bytes/5000000", 5_000_000)
    assert gateway.memory_kib() - before < size // 2 // 1024
    assert Response(stream).body == pattern(0, size)
    slow.close()


def test_100_continue_is_relayed(gateway, client, services):
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(
            b"POST /checkout/sum HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"
        )
        assert Response(stream).status == 100
        s.sendall(b"hello")
        assert json.loads(Response(stream).body)["length"] == 5


def test_answer_that_comes_before_the_body_is_delivered(gateway, client, services):
    with client.connect() as s, s.makefile("rb") as stream:
        s.sendall(b"POST /checkout/early HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1000000\r\n\r\nabc")
        answer = Response(stream)
        assert (answer.status, answer.body) == (200, b"early\n")


def test_connections_to_services_are_used_again(gateway, client, services):
    before = gateway.metrics().sum("envoy_cluster_upstream_cx_total")
    with client.connect() as s, s.makefile("rb") as stream:
        for _ in range(100):
            s.sendall(b"GET /checkout HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            assert Response(stream).status == 200
    assert gateway.metrics().sum("envoy_cluster_upstream_cx_total") - before <= 3


def test_many_uploads_and_downloads_at_once(gateway, client, services, tmp_path):
    """Each by a curl of its own, which sends and receives in one thread: OpenSSL has no connection for two."""
    failures = []

    def one(i):
        try:
            body = pattern(i, 200_000)
            (tmp_path / f"body{i}").write_bytes(body)
            arguments = ["--http1.1", "--data-binary", f"@{tmp_path}/body{i}"]
            assert client.curl(f"{HTTPS_URL}/checkout/echo", *arguments, text=False).stdout == body
        except Exception as error:  # noqa: BLE001
            failures.append(repr(error))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures

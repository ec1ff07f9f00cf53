"""A backend that says exactly what arrived: a strict HTTP/1.1 server that forgives nothing and guesses nothing.

Oracle("pg-svc", ("10.77.2.11", 9000)) keeps every message in 'arrived', bytes included, and in 'broken' whatever is not in
the one form in which the gateway is to write HTTP. It answers a request with what 'answers' has for its target, else with
200 and the request's number, so that a client can tell whose answer it got.
"""

import io
import re
import select
import socket
import threading

from tests.lab import netns

TOKEN = rb"[!#$%&'*+.^_`|~0-9a-z-]+"
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
FIELD = re.compile(rb"(" + TOKEN + rb"): ((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
CHUNK = re.compile(rb"0|[1-9a-f][0-9a-f]{0,15}")


class Broken(Exception):
    """Bytes that are not HTTP in its plainest form."""


class Cut(Exception):
    """The bytes end inside a message."""


class Tape:
    """Reads from recv(n) and remembers what it gave out since begin()."""

    def __init__(self, recv):
        self.recv = recv
        self.buffer = b""
        self.raw = b""

    def begin(self):
        self.raw = b""

    def fill(self):
        try:
            part = self.recv(1 << 16)
        except OSError:
            part = b""
        self.buffer += part
        return part != b""

    def take(self, n):
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        self.raw += out
        return out

    def is_at_end(self):
        return self.buffer == b"" and not self.fill()

    def line(self):
        while b"\n" not in self.buffer:
            if not self.fill():
                raise Cut
        line = self.take(self.buffer.index(b"\n") + 1)
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise Broken(f"line end of {line!r}")
        return line[:-2]

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self.fill():
                self.take(n)
                raise Cut
        return self.take(n)

    def rest(self):
        while self.fill():
            pass
        return self.take(len(self.buffer))


class Message:
    def __init__(self, connection=None):
        self.connection = connection
        self.whole = False
        self.raw = b""
        self.method = self.target = self.status = None
        self.fields = []
        self.trailers = []
        self.body = b""

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    def __repr__(self):
        return f"{self.method} {self.target} {self.status} {self.fields} {self.body[:80]!r} {self.trailers}"


def _fields(tape):
    fields = []
    while (line := tape.line()) != b"":
        found = FIELD.fullmatch(line)
        if not found:
            raise Broken(f"field line {line!r}")
        fields.append(found.groups())
    return fields


def _chunks(tape, message):
    while True:
        size = tape.line()
        if not CHUNK.fullmatch(size):
            raise Broken(f"chunk size {size!r}")
        if size == b"0":
            message.trailers = _fields(tape)
            return
        message.body += tape.exactly(int(size, 16))
        if tape.exactly(2) != b"\r\n":
            raise Broken("end of a chunk")


def _body(tape, message, until_end):
    lengths, codings = message.all(b"content-length"), message.all(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Broken(f"framing {message.fields}")
    if codings:
        if codings != [b"chunked"]:
            raise Broken(f"transfer coding {codings}")
        _chunks(tape, message)
    elif lengths:
        if not LENGTH.fullmatch(lengths[0]):
            raise Broken(f"content-length {lengths}")
        message.body = tape.exactly(int(lengths[0]))
    elif until_end:
        message.body = tape.rest()


def _request(tape, message):
    line = tape.line()
    found = REQUEST_LINE.fullmatch(line)
    if not found:
        raise Broken(f"request line {line!r}")
    message.method, message.target = found.groups()
    message.fields = _fields(tape)
    if len(message.all(b"host")) != 1:
        raise Broken(f"host {message.fields}")
    _body(tape, message, until_end=False)


def _response(tape, message, method):
    line = tape.line()
    found = STATUS_LINE.fullmatch(line)
    if not found:
        raise Broken(f"status line {line!r}")
    message.status = int(found.group(1))
    message.fields = _fields(tape)
    if message.status >= 200 and message.status not in (204, 304) and method != b"HEAD":
        _body(tape, message, until_end=True)


def read(tape, message, method=None):
    """Reads one request, or one response to 'method'. Raises Cut or Broken; what came until then is in 'message'."""
    tape.begin()
    try:
        if method is None:
            _request(tape, message)
        else:
            _response(tape, message, method)
        message.whole = True
    finally:
        message.raw = tape.raw
    return message


def read_all(data):
    """The requests of 'data', which is nothing but whole requests."""
    tape = Tape(io.BytesIO(data).read)
    found = []
    while not tape.is_at_end():
        found.append(read(tape, Message()))
    return found


class Oracle:
    def __init__(self, namespace, address):
        self.arrived = []
        self.broken = []
        self.answers = {}  # target to (bytes, whether the connection ends after them)
        self.n_connections = 0
        self.n_reading = 0  # connections inside a request
        self.open = set()  # the listener's socket and those of connections
        self.lock = threading.Lock()
        self.listener = netns.listen(namespace, address)
        self.listener.setblocking(False)
        self.open.add(self.listener)
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def _accept(self):
        while True:
            select.select([self.listener], [], [])
            with self.lock:
                try:
                    connection, _ = self.listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                except OSError:
                    return
                self.n_connections += 1
                number = self.n_connections
                self.n_reading += 1
                self.open.add(connection)
            connection.setblocking(True)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _count_reading(self, n):
        with self.lock:
            self.n_reading += n

    def _answer(self, connection, message, number):
        answer, ends = self.answers.get(message.target, (None, False))
        if answer is None:
            answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nx-number: %d\r\n\r\n" % (len(message.target), number)
            if message.method != b"HEAD":
                answer += message.target
        if ends:
            # In one segment: who has all of the answer knows of the end too.
            connection.sendall(answer, socket.MSG_MORE)
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(answer)
        return not ends

    def _wait_for_bytes(self, connection):
        """Leaves them where they are: when they have come, the socket is readable or the connection counts as reading."""
        self._count_reading(-1)
        try:
            connection.recv(1, socket.MSG_PEEK)
        finally:
            self._count_reading(1)

    def _read_one(self, tape, number):
        message = Message(number)
        try:
            read(tape, message)
        finally:
            with self.lock:
                self.arrived.append(message)
        return message, len(self.arrived)

    def _serve(self, connection, number):
        tape = Tape(connection.recv)
        try:
            while True:
                if tape.buffer == b"":
                    self._wait_for_bytes(connection)
                if tape.is_at_end() or not self._answer(connection, *self._read_one(tape, number)):
                    break
        except Broken as error:
            self.broken.append(str(error))
        except (Cut, OSError):
            pass
        with self.lock:
            self.open.remove(connection)
            connection.close()
            self.n_reading -= 1

    def is_between_requests(self):
        """Nothing has come that is not among what arrived."""
        with self.lock:
            poll = select.poll()
            for sock in self.open:
                poll.register(sock, select.POLLIN)
            # In this order: bytes that were taken since count as being read.
            return poll.poll(0) == [] and self.n_reading == 0

    def clear(self):
        with self.lock:
            self.arrived = []
            self.answers = {}

    def stop(self):
        with self.lock:
            self.open.remove(self.listener)
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join(60)
        self.listener.close()

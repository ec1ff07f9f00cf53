"""Steady requests from outside, for tests that change something meanwhile."""

import threading

from tests.e2e.conftest import Response


class Load:
    """Requests on a few keep-alive connections for a block; a connection that the gateway announced to close is replaced."""

    def __init__(self, client, n=4):
        self.client = client
        self.stopping = threading.Event()
        self.answered = 0
        self.failures = []
        self.threads = [threading.Thread(target=self.run) for _ in range(n)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopping.is_set():
            try:
                s = self.client.connect(timeout=3)
                s.settimeout(60)
            except OSError:
                self.stopping.wait(0.01)  # not accepted: not counted
                continue
            with s, s.makefile("rb") as stream:
                try:
                    closing = False
                    while not closing and not self.stopping.is_set():
                        s.sendall(b"GET /checkout/bytes/100 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
                        answer = Response(stream)
                        if answer.status != 200 or len(answer.body) != 100:
                            self.failures.append(answer.status)
                        self.answered += 1
                        closing = answer.headers.get("connection") == "close"
                except Exception as error:  # noqa: BLE001
                    self.failures.append(repr(error))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join(60)

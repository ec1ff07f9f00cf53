"""The table of malformed and ambiguous HTTP/1.1 through the whole gateway, with an oracle behind it.

Every case is sent on a client connection that has carried a request already, towards kept connections of the oracle. The
client and the oracle have to agree on how many requests there were, and each forwarded head has to be the one of the table.
"""

import io
import socket

import pytest

from tests.e2e import shop
from tests.e2e.conftest import LAB, cores_of_workers, wait_for
from tests.lab import h1_cases
from tests.lab.oracle import Cut, Message, Oracle, Tape, read, read_all

ADDRESS = ("10.77.2.11", 9000)

ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: oracle, namespace: default}
spec:
  hosts: ["*"]
  gateways: [shop]
  http:
    - name: oracle
      route: [{destination: {host: oracle-service}}]
      retries: {attempts: 0}
      timeout: 60s
"""


@pytest.fixture(scope="module")
def oracle(lab):
    oracle = Oracle(f"{LAB}-svc", ADDRESS)
    yield oracle
    oracle.stop()


@pytest.fixture(scope="module")
def shared_gateway(oracle, new_shared_gateway):
    return new_shared_gateway(
        # One worker, on which the probe is behind the case.
        cores_of_workers(1),
        # The limits under which the table was written.
        spec="  http: {maxHeadBytes: 4096, maxFields: 20}\n",
        replace={
            "routes.yaml": ROUTES,
            "destination-rules.yaml": "",
            "services.yaml": shop.service_yaml("oracle", ADDRESS[0], port=ADDRESS[1]),
        },
    )


def ask(target, method=b"GET"):
    return method + b" " + target + b" HTTP/1.1\r\nhost: a\r\n\r\n"


class Conversation:
    """A client's connection: what was asked, and the answers in their order."""

    def __init__(self, client):
        self.socket = client.connect()
        self.tape = Tape(self.socket.recv)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, method=b"GET"):
        while True:
            message = read(self.tape, Message(), method)
            if message.status >= 200:
                return message

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def is_ended(self):
        return self.tape.is_at_end()


# What the gateway adds to every request, once each.
ADDED = {
    b"x-envoy-attempt-count",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-external-address",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-request-id",
}

# Targets that path normalisation changes.
NORMALIZED = {b'/a|b[c]{d}"^`<>\\': b"/a|b[c]%7Bd%7D%22^%60%3C%3E/"}


def is_routed(message):
    """No route matches what has no path."""
    return message.method != b"CONNECT" and message.target != b"*"


def forwarded_form(message):
    added = [name for name, _ in message.fields if name in ADDED]
    assert sorted(added) == sorted(ADDED), f"added {added}"
    fields = [(name, value) for name, value in message.fields if name not in ADDED]
    return message.method, message.target, fields, message.body, message.trailers


def expected_form(message):
    target = NORMALIZED.get(message.target, message.target)
    fields = [(name, value) for name, value in message.fields if name != b"connection"]
    return message.method, target, fields, message.body, message.trailers


def check_answers(conversation, case, expected, rules):
    """The answers to the requests that are passed on, and what becomes of the connection after them."""
    for message in expected:
        answer = conversation.answer(message.method)
        if is_routed(message):
            assert answer.status == 200, answer
            assert answer.body == NORMALIZED.get(message.target, message.target), answer
        else:
            assert answer.status == 404, answer
    closes = any(m.all(b"connection") == [b"close"] for m in expected)
    if case.kind == "PASSED" and not closes:
        conversation.send(ask(b"/after"))
        assert conversation.answer().body == b"/after"
        return
    if case.kind == "WAITS":
        conversation.end()
    elif case.kind in ("REFUSED", "AFTER"):
        answer = conversation.answer()
        assert answer.status == rules[case.rule].status, answer
        assert answer.all(b"connection") == [b"close"], answer
    assert conversation.is_ended(), f"more: {conversation.tape.buffer[:200]!r}"


def check_request(case, rules, client, probe, oracle):
    oracle.clear()
    expected = read_all(case.passed)
    with Conversation(client) as c:
        c.send(ask(b"/before"))
        assert c.answer().body == b"/before"
        c.send(case.sent)
        check_answers(c, case, expected, rules)
    # Whatever else the case made of itself is ahead of this one on its way to the oracle.
    probe.send(ask(b"/last"))
    assert probe.answer().body == b"/last"
    wait_for(oracle.is_between_requests, "the oracle is between requests")
    assert not oracle.broken, oracle.broken
    whole = [m for m in oracle.arrived if m.whole]
    assert (whole[0].target, whole[-1].target) == (b"/before", b"/last"), whole
    arrived = [m for m in whole[1:-1] if m.target != b"/after"]
    assert [forwarded_form(m) for m in arrived] == [expected_form(m) for m in expected if is_routed(m)]
    # A body that turns out to be malformed when its head has been forwarded never becomes a whole request.
    assert len(oracle.arrived) - len(whole) <= (case.kind in ("REFUSED", "WAITS")), oracle.arrived


def check_all(cases, check):
    failures = []
    for case in cases:
        try:
            check(case)
        except (AssertionError, Cut, OSError) as error:
            failures.append(f"{case.where} {case.kind} {case.rule} {case.sent[:100]!r}: {error!r:.600}")
    assert not failures, f"{len(failures)} cases:\n" + "\n".join(failures)


def test_requests_are_refused_or_forwarded_as_the_table_says(gateway, client, oracle):
    cases, rules = h1_cases.requests(), h1_cases.rules()
    assert len(cases) >= 300
    cases = [c for c in cases if b" https://" not in c.sent]  # refused after parsing: there is no TLS here
    cases = [c for c in cases if b"Upgrade: " not in c.sent]  # see the tests of upgrades
    with Conversation(client) as probe:
        check_all(cases, lambda case: check_request(case, rules, client, probe, oracle))


# What the gateway says itself.
OWN = {b"connection", b"date", b"server", b"transfer-encoding", b"x-envoy-upstream-service-time"}


def expected_answer(case):
    """The first final response of what the table passes on. Its codec ends where a body ends with the connection."""
    tape = Tape(io.BytesIO(case.passed).read)
    message = Message()
    while message.status is None or message.status < 200:
        message = read(tape, Message(), case.method)
    if case.method != b"HEAD" and not message.all(b"content-length") and not message.all(b"transfer-encoding"):
        message.body = case.sent.partition(b"\r\n\r\n")[2] if message.status not in (204, 304) else b""
    return message


def received_form(message):
    return message.status, [f for f in message.fields if f[0] not in OWN], message.body, message.trailers


def check_answer(answer, case):
    if case.kind in ("PASSED", "AFTER") and b" 101 " not in case.sent:
        assert answer is not None and received_form(answer) == received_form(expected_answer(case)), answer
    elif answer is not None:
        # The head is not acceptable, or the endpoint ended before it was whole.
        assert answer.status == (503 if case.kind == "WAITS" else 502), answer


def check_response(case, number, client, oracle):
    oracle.clear()
    target = b"/case/%d" % number
    oracle.answers[target] = (case.sent, True)
    with Conversation(client) as c:
        c.send(ask(target, case.method))
        try:
            answer = c.answer(case.method)
        except Cut:  # of an answer that has begun
            answer = None
        check_answer(answer, case)
        if answer is not None:
            c.send(ask(b"/after"))
            assert c.answer().body == b"/after"
        else:
            assert c.is_ended()
    wait_for(oracle.is_between_requests, "the oracle is between requests")
    assert not oracle.broken, oracle.broken
    # One answer to one request; and if the next one was asked, it was on another connection.
    targets = [target, b"/after"] if answer is not None else [target]
    assert [(m.target, m.whole) for m in oracle.arrived] == [(t, True) for t in targets]
    assert len({m.connection for m in oracle.arrived}) == len(targets)


def test_responses_are_refused_or_passed_on_as_the_table_says(gateway, client, oracle):
    cases = h1_cases.responses()
    assert len(cases) >= 100
    cases = [c for c in cases if c.method != b"CONNECT"]  # refused before it could be answered
    numbers = iter(range(len(cases)))
    check_all(cases, lambda case: check_response(case, next(numbers), client, oracle))

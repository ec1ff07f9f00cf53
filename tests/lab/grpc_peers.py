#!/usr/bin/python3
"""gRPC on both sides of the gateway, by grpcio, without generated code: messages are bytes.

    grpc_peers.py serve ADDRESS            the services lab.Echo and lab.Impatient
    grpc_peers.py call TARGET [CA]         calls it in every way; prints what came of each as one JSON object
"""

import itertools
import json
import sys
import time
from concurrent import futures

import grpc

BOUND = 60  # seconds, for what should take none
flaky = itertools.count()


def unary(request, context):
    context.set_trailing_metadata((("x-trailer", dict(context.invocation_metadata()).get("x-asked", "")),))
    return request


def collect(requests, context):
    return b"".join(requests)


def count(request, context):
    for i in range(int(request)):
        yield b"%d" % i


def chat(requests, context):
    for request in requests:
        yield b"re: " + request


def fail(request, context):
    context.abort(grpc.StatusCode[request.decode()], "as asked: 100% \u00e4")


def flake(request, context):
    if next(flaky) == 0:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
    return request


def sleep(request, context):
    gone = futures.Future()
    context.add_callback(lambda: gone.set_result(True))
    gone.result(BOUND)
    return b""


def serve(address):
    server = grpc.server(futures.ThreadPoolExecutor(8))
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Flake": grpc.unary_unary_rpc_method_handler(flake),
        "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
    }
    for name in ("lab.Echo", "lab.Impatient"):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    assert server.add_insecure_port(address) != 0
    server.start()
    server.wait_for_termination()


def outcome(call):
    """Calls; returns [status, message], or what was returned."""
    try:
        return call()
    except grpc.RpcError as error:
        return [error.code().name, error.details()]


def talk(channel):
    """Each message waits for the answer to the one before: both directions are open at once."""
    answers = []

    def requests():
        for i in range(5):
            yield b"%d" % i
            end = time.monotonic() + BOUND
            while len(answers) <= i and time.monotonic() < end:
                time.sleep(0.001)

    for answer in channel.stream_stream("/lab.Echo/Chat")(requests(), timeout=BOUND):
        answers.append(answer.decode())
    return answers


def call(target, ca):
    options = (("grpc.default_authority", "shop.example"), ("grpc.ssl_target_name_override", "shop.example"))
    if ca:
        credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target, options)
    one = channel.unary_unary
    out = {}

    def with_trailers():
        answer, rpc = one("/lab.Echo/Unary").with_call(b"hello", timeout=BOUND, metadata=(("x-asked", "yes"),))
        return [answer.decode(), dict(rpc.trailing_metadata()).get("x-trailer")]

    def long_message():
        message = bytes(range(256)) * (1 << 13)
        return one("/lab.Echo/Unary")(message, timeout=BOUND) == message

    out["unary"] = outcome(with_trailers)
    out["empty"] = outcome(lambda: one("/lab.Echo/Unary")(b"", timeout=BOUND).decode())
    out["long"] = outcome(long_message)
    out["collect"] = outcome(
        lambda: len(channel.stream_unary("/lab.Echo/Collect")((b"x" * 1000 for _ in range(300)), timeout=BOUND))
    )
    out["count"] = outcome(
        lambda: sum(1 for _ in channel.unary_stream("/lab.Echo/Count")(b"500", timeout=BOUND))
    )
    out["talk"] = outcome(lambda: talk(channel))
    out["fail"] = outcome(lambda: one("/lab.Echo/Fail")(b"NOT_FOUND", timeout=BOUND))
    out["flake"] = outcome(lambda: one("/lab.Echo/Flake")(b"again", timeout=BOUND).decode())
    out["deadline"] = outcome(lambda: one("/lab.Echo/Sleep")(b"", timeout=0.2))
    out["timeout"] = outcome(lambda: one("/lab.Impatient/Sleep")(b"", timeout=BOUND))
    out["no route"] = outcome(lambda: one("/nobody.Home/Unary")(b"", timeout=BOUND))
    out["down"] = outcome(lambda: one("/lab.Down/Unary")(b"", timeout=BOUND))
    out["unimplemented"] = outcome(lambda: one("/lab.Echo/Nothing")(b"", timeout=BOUND))
    channel.close()
    print(json.dumps(out))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        call(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)

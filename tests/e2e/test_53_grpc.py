"""gRPC with grpcio on both sides: every kind of call, trailers, deadlines, retries, and what the gateway says itself."""

import json
import subprocess
import sys

import pytest

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, HTTP, HTTPS, ROOT, Client, server, wait_for

PEERS = ROOT / "tests/lab/grpc_peers.py"
ADDRESS = "10.77.2.43"

ROUTES = """\
    - name: grpc
      match: [{uri: {prefix: /lab.Echo/}}]
      route: [{destination: {host: grpc-service}}]
      retries: {attempts: 2, retryOn: unavailable}
    - name: impatient-grpc
      match: [{uri: {prefix: /lab.Impatient/}}]
      route: [{destination: {host: grpc-service}}]
      timeout: 0.3s
    - name: down
      match: [{uri: {prefix: /lab.Down/}}]
      route: [{destination: {host: down-service}}]
      retries: {attempts: 0}
"""


def service_yaml(name, port):
    return shop.service_yaml(name, ADDRESS, port=port, port_name="web", more=", appProtocol: grpc")


@pytest.fixture
def echo(lab):
    with server((ADDRESS, 8080), sys.executable, "-B", PEERS, "serve", f"{ADDRESS}:8080"):
        yield


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "cleartext"])
def test_every_kind_of_call(new_gateway, echo, tls):
    routes = {
        "routes.yaml": shop.VIRTUAL_SERVICE + ROUTES,
        "grpc.yaml": service_yaml("grpc", 8080) + "---\n" + service_yaml("down", 8081),
    }
    gateway = new_gateway(replace=routes)
    client = Client(gateway)
    target = [f"{GATEWAY}:{HTTPS}", client.ca] if tls else [f"{GATEWAY}:{HTTP}"]
    process = client.popen(sys.executable, "-B", str(PEERS), "call", *target, stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=120)
    answers = json.loads(out)
    assert answers == {
        "unary": ["hello", "yes"],
        "empty": "",
        "long": True,
        "collect": 300_000,
        "count": 500,
        "talk": [f"re: {i}" for i in range(5)],
        "fail": ["NOT_FOUND", "as asked: 100% \u00e4"],
        "flake": "again",
        "deadline": answers["deadline"],  # whoever notices it first says it
        "timeout": ["UNAVAILABLE", "upstream request timeout"],
        "no route": ["UNIMPLEMENTED", answers["no route"][1]],
        "down": ["UNAVAILABLE", answers["down"][1]],
        "unimplemented": ["UNIMPLEMENTED", "Method not found!"],
    }
    assert answers["deadline"][0] in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
    assert answers["down"][1].startswith("upstream connect error or disconnect/reset before headers")
    wait_for(gateway.is_quiet, "no call left")
    metrics = gateway.metrics()
    for status, n in {"0": 7, "5": 1, "12": 2}.items():
        labels = {"request_protocol": "grpc", "response_code": "200", "grpc_response_status": status}
        assert metrics.sum("istio_requests_total", **labels) == n, status
    flaky = wait_for(lambda: [line for line in gateway.access_log() if line["path"] == "/lab.Echo/Flake"], "the line of the log")
    assert [line["attempts"] for line in flaky] == [2]

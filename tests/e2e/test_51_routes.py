"""Matches, weights, STATIC ServiceEntries, direct answers, and Istio's own log line."""

import json
import re

import pytest

from tests.e2e.conftest import HTTP, HTTP_URL, wait_for


ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
    - name: canary
      match: [{uri: {prefix: /}, headers: {x-canary: {exact: "yes"}}}]
      route: [{destination: {host: payment-service}}]
    - name: regex
      match: [{uri: {regex: "/orders/[0-9]+"}}]
      route: [{destination: {host: inventory-service}}]
    - name: method
      match: [{method: {exact: DELETE}}]
      directResponse: {status: 405, body: {string: "not here"}}
    - name: exact
      match: [{uri: {exact: /old}}]
      redirect: {uri: /checkout, redirectCode: 308}
    - name: external
      match: [{uri: {prefix: /legacy/}}]
      rewrite: {uri: /}
      route: [{destination: {host: legacy.example}}]
    - name: weighted
      match: [{uri: {prefix: /split}}]
      route:
        - {destination: {host: checkout-service}, weight: 75}
        - {destination: {host: payment-service}, weight: 25}
    - name: rest
      route: [{destination: {host: checkout-service}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: legacy, namespace: default}
spec:
  hosts: [legacy.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.77.2.21, ports: {http: 8080}}]
"""


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(
        replace={
            "routes.yaml": ROUTES,
            "mesh.yaml": lambda text: re.sub(r"    accessLogFormat: \|\n.*\n", "", text),
        }
    )


@pytest.mark.parametrize(
    "path, arguments, answer",
    [
        ("/", [], "checkout-"),
        ("/", ["-H", "x-canary: yes"], "payment-"),
        ("/", ["-H", "x-canary: no"], "checkout-"),
        ("/orders/17", [], "inventory-"),
        ("/orders/17x", [], "checkout-"),
        ("/", ["-X", "DELETE"], "not here"),
        ("/legacy/", [], "inventory-1"),
        ("/%6frders/17", [], "inventory-"),
        ("/x/../orders/17", ["--path-as-is"], "inventory-"),
    ],
)
def test_first_route_that_matches_answers(client, services, path, arguments, answer):
    assert client.curl(HTTP_URL + path, *arguments).stdout.startswith(answer)


def test_rewrite_changes_the_path_and_tells_the_old_one(client, services):
    said = json.loads(client.curl(f"{HTTP_URL}/legacy/headers?a=b").stdout)
    assert said["target"] == "/headers?a=b"
    assert ["x-envoy-original-path", "/legacy/headers?a=b"] in said["headers"]


def test_redirect_keeps_the_query(client):
    said = client.curl(f"{HTTP_URL}/old?a=b", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}").stdout
    assert said == f"308 http://shop.example:{HTTP}/checkout?a=b"


def test_weights_divide_the_requests(client, services):
    """400 draws with p = 1/4: outside these bounds once in a hundred million runs."""
    client.curl(f"{HTTP_URL}/split?[1-400]", "-o", "/dev/null")
    counts = services.counts()
    payment = sum(n for name, n in counts.items() if name.startswith("payment"))
    assert sum(counts.values()) == 400
    assert 50 < payment < 150


def test_istios_own_log_line(gateway, client, services):
    client.curl(f"{HTTP_URL}/logged?x=1", "-A", "tester")
    line = wait_for(
        lambda: next((l for l in gateway.access_log_lines() if "/logged" in l), None), "the request is logged"
    )
    assert re.fullmatch(
        r'\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "GET /logged\?x=1 HTTP/1\.1" 200 - via_upstream - "-" 0 11 \d+ \d+ '
        r'"10\.77\.1\.1" "tester" "[0-9a-f-]{36}" "shop\.example:8080" "10\.77\.2\.1\d:8080" '
        r"outbound\|80\|\|checkout-service\.default\.svc\.cluster\.local 10\.77\.2\.254:\d+ 10\.77\.1\.254:8080 "
        r"10\.77\.1\.1:\d+ - rest",
        line,
    ), line

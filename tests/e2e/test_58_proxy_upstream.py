"""PROXY headers in front of what endpoints hear, by HAProxy, which says what it was told."""


import pytest

from tests.e2e import shop
from tests.e2e.conftest import Response, server, wait_for

RULES = """\
{services}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: told, namespace: default}}
spec:
  hosts: [told.shop.example]
  gateways: [shop]
  http:
{routes}"""
ROUTE = """\
    - match: [{{uri: {{prefix: /{name}}}}}]
      route: [{{destination: {{host: {name}-service}}}}]
      retries: {{attempts: 0}}
"""
RULE = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}-service, namespace: default}}
spec:
  host: {name}-service
  trafficPolicy:
    proxyProtocol: {{version: {version}}}
    connectionPool: {{http: {{h2UpgradePolicy: {upgrade}}}}}
"""
HAPROXY = """\
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 60s
frontend told
  bind 10.77.2.43:8092 accept-proxy
  bind 10.77.2.43:8093 accept-proxy proto h2
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port]"
"""
TOLD = {"v1-h1": ("V1", 8092), "v2-h1": ("V2", 8092), "v1-h2": ("V1", 8093), "v2-h2": ("V2", 8093)}


@pytest.fixture(scope="module")
def haproxy(lab, tmp_path_factory):
    config = tmp_path_factory.mktemp("haproxy") / "haproxy.cfg"
    config.write_text(HAPROXY)
    with server(("10.77.2.43", 8093), "haproxy", "-db", "-q", "-f", config):
        yield


@pytest.fixture(scope="module")
def shared_gateway(haproxy, new_shared_gateway):
    names = {name: name.replace("-", "") for name in TOLD}
    services = [shop.service_yaml(names[n], "10.77.2.43", port=port) for n, (_, port) in TOLD.items()]
    rules = [RULE.format(name=names[n], version=v, upgrade="UPGRADE" if "h2" in n else "DEFAULT") for n, (v, _) in TOLD.items()]
    text = RULES.format(services="---\n".join(services), routes="".join(ROUTE.format(name=names[n]) for n in TOLD))
    return new_shared_gateway(replace={"told.yaml": text + "".join(rules)})


def test_endpoints_are_told_who_the_client_is(gateway, client):
    def ask(sock, stream, name):
        sock.sendall(f"GET /{name.replace('-', '')} HTTP/1.1\r\nhost: told.shop.example\r\n\r\n".encode())
        answer = Response(stream)
        assert answer.status == 200, answer.body
        return answer.body.decode()

    def ends(sock):
        return "{}:{} {}:{}".format(*sock.getsockname(), *sock.getpeername())

    for n, name in enumerate(TOLD):
        with client.connect() as a, a.makefile("rb") as a_in, client.connect() as b, b.makefile("rb") as b_in:
            for _ in range(2):
                assert ask(a, a_in, name) == ends(a)
                assert ask(b, b_in, name) == ends(b)
        # One connection for each of the two clients, that end with them.
        assert gateway.metrics().sum("pollgate_proxy_headers_sent_total") == 2 * (n + 1)
    wait_for(lambda: gateway.metrics().sum("envoy_cluster_upstream_cx_active") == 0, "no connection to an endpoint is left")

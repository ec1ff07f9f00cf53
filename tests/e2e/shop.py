"""The configuration that most end-to-end tests run: a small shop behind one Gateway.

Nothing in it is to strike on a slow machine but the timeout of /impatient."""

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

SERVICES = {
    name: [f"10.77.2.{tens}{i}" for i in (1, 2, 3)] for tens, name in enumerate(("checkout", "inventory", "payment"), 1)
}
PORTS = {
    "external": {"driver": "af_xdp", "interface": "ga", "addressing": "own", "addresses": ["10.77.1.254/24"]},
    "mesh": {"driver": "af_xdp", "interface": "gb", "addressing": "own", "addresses": ["10.77.2.254/24"]},
}
# What an external port may have instead.
DUAL_STACK = {"addresses": ["10.77.1.254/24", "fd77:1::254/64"]}
TAP = {"driver": "tap", "interface": "ta"}

APPLIANCE = """\
apiVersion: pollgate.dev/v1alpha1
kind: Appliance
metadata: {{name: istio-ingressgateway, namespace: istio-system, labels: {{istio: ingressgateway}}}}
spec:
  workers: {{cores: "{core}", idle: adaptive}}
  memory: {{limit: {memory}, hugepages: {hugepages}}}
  ports:
{ports}
  management:
    socket: {run}/mgmt.sock
    metrics: 127.0.0.1:15090
    health: 127.0.0.1:15021
  drain: {{timeout: {drain}}}
  meshRoutes: true
"""

MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {{name: mesh, namespace: istio-system}}
spec:
  meshConfig:
    accessLogFile: {run}/access.log
    accessLogFormat: |
      {{"method":"%REQ(:METHOD)%","path":"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%","code":%RESPONSE_CODE%,"flags":"%RESPONSE_FLAGS%","details":"%RESPONSE_CODE_DETAILS%","cluster":"%UPSTREAM_CLUSTER%","host":"%UPSTREAM_HOST%","attempts":%UPSTREAM_REQUEST_ATTEMPT_COUNT%,"sent":%BYTES_SENT%,"received":%BYTES_RECEIVED%}}
  components:
    ingressGateways:
      - name: istio-ingressgateway
        enabled: true
        k8s:
          service:
            ports:
              - {{port: 80, targetPort: 8080, name: http2}}
              - {{port: 443, targetPort: 8443, name: https}}
"""

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ["*"]
    - port: {number: 443, name: https, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: shop-cert}
      hosts: ["shop.example", "*.shop.example"]
"""

VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
    - name: checkout
      match: [{uri: {prefix: /checkout}}]
      route: [{destination: {host: checkout-service}}]
      retries: {attempts: 0}
      timeout: 300s
    - name: inventory
      match: [{uri: {prefix: /inventory}}]
      route: [{destination: {host: inventory-service}}]
      retries: {attempts: 0}
      timeout: 300s
    - name: payment
      match: [{uri: {prefix: /payment}}]
      route: [{destination: {host: payment-service}}]
      retries: {attempts: 3, perTryTimeout: 20s, retryOn: "5xx,reset,connect-failure,retriable-4xx"}
      timeout: 60s
    - name: impatient
      match: [{uri: {prefix: /impatient}}]
      route: [{destination: {host: checkout-service}}]
      retries: {attempts: 0}
      timeout: 1s
"""

DESTINATION_RULES = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: checkout-service, namespace: default}
spec:
  host: checkout-service
  trafficPolicy:
    connectionPool: {tcp: {connectTimeout: 30s}}
    loadBalancer: {simple: LEAST_REQUEST}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: inventory-service, namespace: default}
spec:
  host: inventory-service
  trafficPolicy:
    connectionPool: {tcp: {connectTimeout: 30s}}
    outlierDetection:
      consecutive5xxErrors: 2
      interval: 1s
      baseEjectionTime: 2s
      maxEjectionPercent: 30
    loadBalancer: {simple: ROUND_ROBIN}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: payment-service, namespace: default}
spec:
  host: payment-service
  trafficPolicy:
    connectionPool: {tcp: {connectTimeout: 30s}}
    loadBalancer: {simple: ROUND_ROBIN}
"""


def service_yaml(name, *addresses, port=8080, port_name="http", more=""):
    """A Service and its EndpointSlice; 'more' is said of the Service's port."""
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}-service, namespace: default}}
spec:
  ports: [{{name: {port_name}, port: 80, targetPort: {port}{more}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-service-1
  namespace: default
  labels: {{kubernetes.io/service-name: {name}-service}}
addressType: IPv{6 if ":" in addresses[0] else 4}
ports: [{{name: {port_name}, port: {port}, protocol: TCP}}]
endpoints: [{", ".join(f'{{addresses: ["{a}"]}}' for a in addresses)}]
"""


def make_certificate(directory, name, *hosts):
    subprocess.run([ROOT / "scripts/make-certificates", directory, name, *hosts], check=True)


def port_yaml(name, changes):
    fields = {"name": name, **PORTS[name], **changes}
    return "    - " + json.dumps({key: value for key, value in fields.items() if value is not None})


def write(
    directory, core, external=(), mesh=(), memory="200Mi", hugepages="prefer", drain="3s", spec="", replace=(), certificates=()
):
    """Writes the configuration to 'directory'. 'external' and 'mesh' are what these ports have instead of or beside the
    usual, a field that is None they do not have, and instead of 'mesh' None leaves it out. 'spec' is more of the Appliance.
    'replace' maps file names to other texts, or to functions that make them of the usual ones; 'certificates' maps names to
    hosts. Each stop takes a third of 'drain'."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    run = directory.parent
    ports = "\n".join(port_yaml(n, dict(c)) for n, c in (("external", external), ("mesh", mesh)) if c is not None)
    files = {
        "appliance.yaml": APPLIANCE.format(run=run, core=core, memory=memory, hugepages=hugepages, ports=ports, drain=drain) + spec,
        "mesh.yaml": MESH.format(run=run),
        "gateway.yaml": GATEWAY,
        "routes.yaml": VIRTUAL_SERVICE,
        "destination-rules.yaml": DESTINATION_RULES,
        "services.yaml": "---\n".join(service_yaml(n, *a) for n, a in SERVICES.items()),
    }
    for name, text in dict(replace).items():
        files[name] = text(files[name]) if callable(text) else text
    for name, text in files.items():
        (directory / name).write_text(text)
    for name, hosts in {"shop-cert": ("shop.example", "*.shop.example"), **dict(certificates)}.items():
        if not (directory / f"{name}.crt").exists():
            make_certificate(directory, name, *hosts)
    return directory

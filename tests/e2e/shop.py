"""The configuration that most end-to-end tests run: a small shop behind one Gateway."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

MEMORY = "200Mi"
SERVICES = {"checkout": 1, "inventory": 2, "payment": 3}  # the tens of their addresses in 10.77.2.0/24

APPLIANCE = """\
apiVersion: pollgate.dev/v1alpha1
kind: Appliance
metadata: {{name: istio-ingressgateway, namespace: istio-system, labels: {{istio: ingressgateway}}}}
spec:
  workers: {{cores: "{core}", idle: adaptive}}
  memory: {{limit: 200Mi, hugepages: {hugepages}}}
  ports:
    - name: external
{external}
      addressing: own
      addresses: [10.77.1.254/24]
    - name: mesh
      driver: af_xdp
      interface: gb
      addressing: own
      addresses: [10.77.2.254/24]
  management:
    socket: {run}/mgmt.sock
    metrics: 127.0.0.1:15090
    health: 127.0.0.1:15021
  drain: {{timeout: 3s}}
  meshRoutes: true
"""

EXTERNAL = {
    "af_xdp": "      driver: af_xdp\n      interface: ga",
    "af_packet": "      driver: af_packet\n      interface: ga",
    "tap": "      driver: tap\n      interface: ta",
    "devargs": "      driver: devargs\n      checksum: accept-partial\n"
    '      devargs: "net_af_xdp7,iface=ga,start_queue=0,queue_count=1,busy_budget=0"',
}

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
      timeout: 60s
    - name: inventory
      match: [{uri: {prefix: /inventory}}]
      route: [{destination: {host: inventory-service}}]
      retries: {attempts: 0}
      timeout: 60s
    - name: payment
      match: [{uri: {prefix: /payment}}]
      route: [{destination: {host: payment-service}}]
      retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx,reset,connect-failure,retriable-4xx"}
      timeout: 10s
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
    connectionPool: {tcp: {connectTimeout: 2s}}
    loadBalancer: {simple: LEAST_REQUEST}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: inventory-service, namespace: default}
spec:
  host: inventory-service
  trafficPolicy:
    connectionPool: {tcp: {connectTimeout: 2s}}
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
    connectionPool: {tcp: {connectTimeout: 2s}}
    loadBalancer: {simple: ROUND_ROBIN}
"""


def service_yaml(name, tens, count=3, port=8080):
    endpoints = "\n".join(f"  - {{addresses: [10.77.2.{tens}{i}]}}" for i in range(1, count + 1))
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}-service, namespace: default}}
spec:
  ports: [{{name: http, port: 80, targetPort: {port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-service-1
  namespace: default
  labels: {{kubernetes.io/service-name: {name}-service}}
addressType: IPv4
ports: [{{name: http, port: {port}, protocol: TCP}}]
endpoints:
{endpoints}
"""


def write(
    directory, core, external="af_xdp", memory=MEMORY, hugepages="prefer", drain="3s", spec="", replace=(), certificates=()
):
    """Writes the configuration to 'directory'; 'spec' is more of the Appliance, 'replace' maps file names to other texts,
    'certificates' lists further (name, host...) to make. Each stop takes a third of 'drain'."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    run = directory.parent
    files = {
        "appliance.yaml": APPLIANCE.format(
            run=run, core=core, external=EXTERNAL[external], hugepages=hugepages
        )
        .replace("200Mi", memory)
        .replace("timeout: 3s", f"timeout: {drain}")
        + spec,
        "mesh.yaml": MESH.format(run=run),
        "gateway.yaml": GATEWAY,
        "routes.yaml": VIRTUAL_SERVICE,
        "destination-rules.yaml": DESTINATION_RULES,
        "services.yaml": "---\n".join(service_yaml(n, t) for n, t in SERVICES.items()),
    }
    files.update(replace)
    for name, text in files.items():
        (directory / name).write_text(text)
    for name, *hosts in [("shop-cert", "shop.example", "*.shop.example"), *certificates]:
        if not (directory / f"{name}.crt").exists():
            subprocess.run([ROOT / "scripts/make-certificates", directory, name, *hosts], check=True)
    return directory

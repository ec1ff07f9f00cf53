"""VirtualServices that are bound to the mesh."""

from tests.e2e import shop
from tests.e2e.conftest import HTTP_URL, Client


def test_mesh_route_serves_the_seeds_host(new_gateway, services):
    """The seed's payment-service VirtualService is bound to mesh; meshRoutes serves its Host with its retries."""
    mesh = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: payment-service, namespace: default}
spec:
  hosts: [payment-service]
  http:
    - route: [{destination: {host: payment-service}}]
      retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx,reset,connect-failure,retriable-4xx"}
      timeout: 10s
"""
    gateway = new_gateway(replace={"routes.yaml": shop.VIRTUAL_SERVICE + "---\n" + mesh})
    client = Client(gateway)
    services.set("payment-1", "status:500")
    for _ in range(6):
        assert client.status(f"{HTTP_URL}/", "-H", "Host: payment-service") == 200
    assert services.counts()["payment-1"] > 0

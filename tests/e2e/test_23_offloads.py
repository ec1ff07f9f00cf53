"""Checksums and segmentation by the device, by the kernel below, and without them.

The TAP driver does both in software, so the kernel at the other end of the wire sees what a NIC would have sent and says
what is wrong with it. It cuts IPv4 only, and only if what it cuts off fits the MTU with its Ethernet header: on these ports that
takes a peer whose MTU is smaller.
"""

import contextlib
import hashlib
import json
import pathlib

import pytest

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, GATEWAY6, HTTP, HTTPS, HTTPS_URL, HTTP_URL, LAB, Client, cores_of_workers, frames_on_the_wire, run_in
from tests.lab import netns
from tests.lab.service import pattern

SIZE = 8_000_000


def tap_client(gateway, family):
    """Sits in the gateway's namespace, at the kernel's end of its TAP device."""
    return Client(gateway, GATEWAY6 if family == 6 else GATEWAY, "gw")


def start(new_gateway, offloads, **options):
    port = {**shop.TAP, **shop.DUAL_STACK, "offloads": offloads}
    gateway = new_gateway(external=port, memory="256Mi", **options)  # a TAP port has a queue for each worker
    run_in("gw", "ip", "addr", "add", "10.77.1.1/24", "dev", "ta")
    run_in("gw", "sysctl", "-qw", "net.ipv6.conf.ta.disable_ipv6=0")
    run_in("gw", "ip", "addr", "add", "fd77:1::1/64", "dev", "ta", "nodad")
    run_in("gw", "ip", "link", "set", "ta", "mtu", "1400", "up")
    return gateway


@pytest.fixture(params=["auto", "off"])
def gateway(request, services, new_gateway):
    gateway = start(new_gateway, request.param, mesh={"offloads": "off"})
    gateway.offloads = request.param
    return gateway


def port(gateway, name="external"):
    return next(p for p in json.loads(gateway.ctl("status").stdout)["ports"] if p["port"] == name)


def bad_checksums(namespace="gw"):
    """That the kernel has found in segments."""
    with netns.inside(f"{LAB}-{namespace}"):
        lines = pathlib.Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("InCsumErrors")])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("family", [4, 6])
def test_megabytes_arrive_whole_in_both_directions(gateway, tmp_path, family, scheme):
    client = tap_client(gateway, family)
    url = f"{scheme}://shop.example:{HTTP if scheme == 'http' else HTTPS}"
    body = pattern(0, SIZE)
    (tmp_path / "body").write_bytes(body)
    errors = bad_checksums()

    answer = client.curl(f"{url}/checkout/bytes/{SIZE}", text=False)
    assert hashlib.sha256(answer.stdout).digest() == hashlib.sha256(body).digest()
    answer = client.curl(f"{url}/checkout/sum", "--data-binary", f"@{tmp_path}/body")
    assert json.loads(answer.stdout) == {"length": SIZE, "sha256": hashlib.sha256(body).hexdigest()}

    assert bad_checksums() == errors
    metrics = gateway.metrics()
    assert metrics.sum("pollgate_tcp_drop_checksum_total") == 0
    assert metrics.sum("pollgate_tx_drop_refused_total") == 0
    assert port(gateway)["tx_errors"] == 0
    packets = metrics.sum("pollgate_tcp_tso_packets_total")
    segments = metrics.sum("pollgate_tcp_tso_segments_total")
    if gateway.offloads == "off":
        assert port(gateway)["offloads"] == "none"
        assert packets == 0
        assert metrics.sum("pollgate_tcp_rx_csum_offloaded_total") == 0
        return
    assert port(gateway)["offloads"] == "rx-checksum ip4-checksum tcp-checksum tso4"
    assert metrics.sum("pollgate_tcp_rx_csum_offloaded_total") > 0
    if family == 6:
        assert packets == 0
    else:
        assert segments > SIZE / 1400 / 4  # what the service's bytes came in is not ours to say
        assert segments > 2 * packets


@pytest.fixture(params=["whole", "cut"])
def wire(request):
    """Between two interfaces of one kernel large packets stay whole, unless the device says that it can do nothing with them."""
    with frames_on_the_wire() if request.param == "cut" else contextlib.nullcontext():
        yield request.param


def received_by_client():
    """Bytes and packets of its interface."""
    with netns.inside(f"{LAB}-client"):
        line = next(l for l in pathlib.Path("/proc/thread-self/net/dev").read_text().splitlines() if "ca:" in l)
    return [int(n) for n in line.split(":")[1].split()[:2]]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("driver", ["af_xdp", "af_packet"])
def test_the_kernel_cuts_what_goes_out(new_gateway, lab, services, wire, driver, family):
    gateway = new_gateway(external={**shop.DUAL_STACK, "driver": driver}, mesh={"offloads": "off"}, memory="256Mi")
    client = Client(gateway, GATEWAY6 if family == 6 else GATEWAY)
    errors, (bytes_before, packets_before) = bad_checksums("client"), received_by_client()

    answer = client.curl(f"{HTTPS_URL}/checkout/bytes/{SIZE}", text=False)
    assert hashlib.sha256(answer.stdout).digest() == hashlib.sha256(pattern(0, SIZE)).digest()

    assert bad_checksums("client") == errors
    n_bytes, n_packets = (a - b for a, b in zip(received_by_client(), (bytes_before, packets_before)))
    assert (n_bytes / n_packets > 1514) == (wire == "whole")
    metrics = gateway.metrics()
    assert port(gateway)["offloads"] == "gso"
    assert port(gateway)["tx_errors"] == 0
    assert metrics.sum("pollgate_eth_drop_not_ours_total") == 0  # no frame of ours came back
    packets = metrics.sum("pollgate_tcp_tso_packets_total")
    segments = metrics.sum("pollgate_tcp_tso_segments_total")
    assert segments > SIZE / 1500 / 4
    assert segments > 2 * packets


def test_without_rss_two_queues_are_steered_in_software(services, new_gateway):
    """The kernel chooses the queue of a TAP device by a rule of its own."""
    gateway = start(new_gateway, "auto", core=cores_of_workers(2))
    assert port(gateway)["queues"] == 2
    assert port(gateway)["steering"].startswith("software: the device")
    assert port(gateway, "mesh")["steering"] == "software: fewer queues than workers"
    clients = [tap_client(gateway, family) for family in (4, 6)]
    for _ in range(20):
        for client in clients:
            client.curl(f"{HTTP_URL}/checkout/bytes/100000", text=False)
    metrics = gateway.metrics()
    assert metrics.sum("pollgate_steer_handed_over_total") > 0
    # A packet at the wrong worker is answered by a reset: no curl failed, and no exchange began anew. The drop
    # counters are no proof, as services still repeat what they had for gateways before this one.
    assert metrics.sum("envoy_cluster_upstream_rq_retry") == 0
    assert metrics.sum("pollgate_steer_rss_wrong_total") == 0

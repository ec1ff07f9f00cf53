"""IPv6 routers that the gateway finds by itself: the client's kernel is the way to an address beyond the link once it
has been advertised as one, and only then."""

import json
import socket

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptMTU, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import Ether

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY6, HTTP, LAB, WORKERS, Response, run_in, wait_for
from tests.e2e.wire import Wire
from tests.lab import netns
from tests.lab.service import pattern

# The client's kernel has it, but on no link: from the gateway it is beyond a router.
FAR = "2001:db8:77::9"


class Router(Wire):
    """Speaks for the client's kernel, which routes but does not advertise."""

    def __init__(self):
        super().__init__()
        addresses = json.loads(run_in("client", "ip", "-j", "addr", "show", "dev", "ca"))[0]["addr_info"]
        self.address = next(a["local"] for a in addresses if a["local"].startswith("fe80:"))

    def advertise(self, lifetime, mtu=None, hlim=255, src=None):
        packet = IPv6(src=src or self.address, dst="ff02::1", hlim=hlim) / ICMPv6ND_RA(routerlifetime=lifetime)
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=self.mac)
        if mtu is not None:
            packet /= ICMPv6NDOptMTU(mtu=mtu)
        self.send(Ether(dst="33:33:00:00:00:01", src=self.mac) / packet)


@pytest.fixture
def router(lab):
    run_in("client", "sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")
    run_in("client", "ip", "addr", "add", f"{FAR}/128", "dev", "lo", "nodad")
    with Router() as router:
        yield router
    run_in("client", "sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")  # takes the address along


def counter(gateway, name):
    return gateway.metrics().sum(f"pollgate_{name}")


def ask():
    """A request from beyond the link."""
    with netns.inside(f"{LAB}-client"):
        s = socket.create_connection((GATEWAY6, HTTP), 60, source_address=(FAR, 0))
    with s, s.makefile("rb") as stream:
        s.sendall(b"GET /checkout/bytes/100000 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        assert Response(stream).body == pattern(0, 100_000)
        return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


def assert_no_way(gateway):
    """The gateway has no way back, and says so in a counter; the kernel repeats its SYN."""
    before = counter(gateway, "tcp_drop_listen_total")
    with netns.inside(f"{LAB}-client"), socket.socket(socket.AF_INET6) as s:
        s.bind((FAR, 0))
        s.setblocking(False)
        s.connect_ex((GATEWAY6, HTTP))
        wait_for(lambda: counter(gateway, "tcp_drop_listen_total") > before, "a SYN that cannot be answered")


def test_a_router_is_asked_for_found_and_lost(router, services, new_gateway):
    gateway = new_gateway(external=shop.DUAL_STACK)
    question = router.receive(lambda frame: ICMPv6ND_RS in frame)
    assert (question[IPv6].dst, question[IPv6].hlim) == ("ff02::2", 255)
    assert question[IPv6].src.startswith("fe80:")
    assert question[ICMPv6NDOptSrcLLAddr].lladdr == question.src
    assert_no_way(gateway)

    # Not a router of this link, and not one by its source: neither is believed.
    router.advertise(1800, hlim=254)
    router.advertise(1800, src="fd77:1::1")
    wait_for(lambda: counter(gateway, "nd_drop_hop_limit_total") == WORKERS, "the routed advertisement is refused")
    wait_for(lambda: counter(gateway, "nd_drop_sender_total") >= WORKERS, "the global source is refused")
    assert counter(gateway, "nd_routers") == 0

    router.advertise(1800)
    wait_for(lambda: counter(gateway, "nd_routers") == WORKERS, "every worker knows the router")
    usual = ask()
    # Its MTU holds for what is opened from then on.
    router.advertise(1800, mtu=1300)
    wait_for(lambda: counter(gateway, "nd_router_advertisements_received_total") == 2 * WORKERS, "the MTU is heard")
    assert ask() == usual - 200
    # It answers the gateway's probe, so it stays known.
    assert counter(gateway, "neigh_failures_total") == 0

    router.advertise(0)
    wait_for(lambda: counter(gateway, "nd_routers") == 0, "the router has taken itself back")
    assert_no_way(gateway)


def test_a_router_that_says_no_more_expires(router, services, new_gateway):
    gateway = new_gateway(external=shop.DUAL_STACK)
    router.advertise(2)
    wait_for(lambda: counter(gateway, "nd_router_advertisements_received_total") == WORKERS, "it is heard")
    wait_for(lambda: counter(gateway, "nd_routers") == 0, "it has expired")
    assert_no_way(gateway)


def test_a_configured_gateway_is_not_displaced(router, services, new_gateway):
    gateway = new_gateway(external={**shop.DUAL_STACK, "gateway": "fd77:1::1"})
    router.advertise(1800)
    wait_for(lambda: counter(gateway, "nd_drop_router_total") == WORKERS, "the advertisement is ignored")
    assert counter(gateway, "nd_routers") == 0
    ask()
    assert counter(gateway, "nd_router_solicitations_sent_total") == 0

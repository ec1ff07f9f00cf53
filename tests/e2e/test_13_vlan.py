"""A port that lives in one VLAN. Not every kernel has VLAN interfaces, so the neighbour is made of frames by hand."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from tests.e2e.conftest import HTTP, wait_for
from tests.e2e.wire import Wire, tag

VLAN = 100
GATEWAY, GATEWAY6 = "10.78.1.254", "fd78:1::254"
PEER, PEER6, PEER_MAC = "10.78.1.1", "fd78:1::1", "02:00:00:00:78:01"
EVERYBODY, SOLICITED_MAC, SOLICITED = "ff:ff:ff:ff:ff:ff", "33:33:ff:00:02:54", "ff02::1:ff00:254"


def framed(packet, dst, vlan=VLAN):
    frame = Ether(dst=dst, src=PEER_MAC)
    return frame / Dot1Q(vlan=vlan) / packet if vlan is not None else frame / packet


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(external={"addresses": [f"{GATEWAY}/24", f"{GATEWAY6}/64"], "vlan": VLAN})


@pytest.fixture
def wire(gateway):
    with Wire() as wire:
        yield wire


def test_everything_goes_in_and_out_with_the_tag(gateway, wire):
    wire.send(framed(ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=GATEWAY), EVERYBODY))
    frame = wire.receive(lambda f: ARP in f and f[ARP].op == 2 and f[ARP].psrc == GATEWAY)
    assert tag(frame) == VLAN
    mac = frame[ARP].hwsrc

    wire.send(framed(IP(src=PEER, dst=GATEWAY) / ICMP(id=7, seq=1) / b"ping", mac))
    frame = wire.receive(lambda f: ICMP in f and f[ICMP].id == 7)
    assert (tag(frame), frame[ICMP].type, frame[IP].dst) == (VLAN, 0, PEER)

    wire.send(framed(IP(src=PEER, dst=GATEWAY) / TCP(sport=5000, dport=HTTP, flags="S", seq=1), mac))
    frame = wire.receive(lambda f: TCP in f and f[TCP].dport == 5000)
    assert (tag(frame), str(frame[TCP].flags)) == (VLAN, "SA")
    wire.send(framed(IP(src=PEER, dst=GATEWAY) / TCP(sport=5000, dport=HTTP, flags="R", seq=2), mac))


def test_ipv6_neighbours_meet_in_the_vlan(gateway, wire):
    ns = ICMPv6ND_NS(tgt=GATEWAY6) / ICMPv6NDOptSrcLLAddr(lladdr=PEER_MAC)
    wire.send(framed(IPv6(src=PEER6, dst=SOLICITED, hlim=255) / ns, SOLICITED_MAC))
    frame = wire.receive(lambda f: ICMPv6ND_NA in f and f[ICMPv6ND_NA].tgt == GATEWAY6 and f[IPv6].dst == PEER6)
    assert tag(frame) == VLAN
    wire.send(framed(IPv6(src=PEER6, dst=GATEWAY6) / ICMPv6EchoRequest(id=7), frame.src))
    frame = wire.receive(lambda f: ICMPv6EchoReply in f)
    assert tag(frame) == VLAN


def test_other_tags_and_none_are_dropped_and_counted(gateway, wire):
    def dropped():
        return gateway.metrics().sum("pollgate_eth_drop_vlan_total")

    before, answered = dropped(), gateway.metrics().sum("pollgate_arp_replies_sent_total")
    for vlan in (None, 0, VLAN + 1):
        wire.send(framed(ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=GATEWAY), EVERYBODY, vlan))
    wait_for(lambda: dropped() >= before + 3, "each is counted")
    assert gateway.metrics().sum("pollgate_arp_replies_sent_total") == answered

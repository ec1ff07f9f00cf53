"""A port that lives in one VLAN. Not every kernel has VLAN interfaces, so the neighbour is made of frames by hand."""

import socket
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from tests.e2e.conftest import HTTP, LAB, wait_for
from tests.lab import netns

VLAN = 100
GATEWAY, GATEWAY6 = "10.78.1.254", "fd78:1::254"
PEER, PEER6, PEER_MAC = "10.78.1.1", "fd78:1::1", "02:00:00:00:78:01"
EVERYBODY, SOLICITED_MAC, SOLICITED = "ff:ff:ff:ff:ff:ff", "33:33:ff:00:02:54", "ff02::1:ff00:254"

SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 1 << 4


class Wire:
    def __init__(self):
        with netns.inside(f"{LAB}-client"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind(("ca", 0))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.settimeout(60)

    def send(self, packet, dst, vlan=VLAN):
        frame = Ether(dst=dst, src=PEER_MAC)
        self.socket.send(bytes(frame / Dot1Q(vlan=vlan) / packet if vlan is not None else frame / packet))

    def receive(self, matches):
        """The tag and the frame, which the kernel hands over apart."""
        while True:
            data, auxiliary, _, address = self.socket.recvmsg(1 << 16, 256)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            frame, vlan = Ether(data), None
            for level, kind, value in auxiliary:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", value[:20])
                    if status & TP_STATUS_VLAN_VALID:
                        vlan = tci & 0xFFF
            if Dot1Q in frame:
                vlan = frame[Dot1Q].vlan
            if matches(frame):
                return vlan, frame


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(external={"addresses": [f"{GATEWAY}/24", f"{GATEWAY6}/64"], "vlan": VLAN})


@pytest.fixture
def wire(gateway):
    wire = Wire()
    yield wire
    wire.socket.close()


def test_everything_goes_in_and_out_with_the_tag(gateway, wire):
    wire.send(ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=GATEWAY), EVERYBODY)
    vlan, frame = wire.receive(lambda f: ARP in f and f[ARP].op == 2 and f[ARP].psrc == GATEWAY)
    assert vlan == VLAN
    mac = frame[ARP].hwsrc

    wire.send(IP(src=PEER, dst=GATEWAY) / ICMP(id=7, seq=1) / b"ping", mac)
    vlan, frame = wire.receive(lambda f: ICMP in f and f[ICMP].id == 7)
    assert (vlan, frame[ICMP].type, frame[IP].dst) == (VLAN, 0, PEER)

    wire.send(IP(src=PEER, dst=GATEWAY) / TCP(sport=5000, dport=HTTP, flags="S", seq=1), mac)
    vlan, frame = wire.receive(lambda f: TCP in f and f[TCP].dport == 5000)
    assert (vlan, str(frame[TCP].flags)) == (VLAN, "SA")
    wire.send(IP(src=PEER, dst=GATEWAY) / TCP(sport=5000, dport=HTTP, flags="R", seq=2), mac)


def test_ipv6_neighbours_meet_in_the_vlan(gateway, wire):
    ns = ICMPv6ND_NS(tgt=GATEWAY6) / ICMPv6NDOptSrcLLAddr(lladdr=PEER_MAC)
    wire.send(IPv6(src=PEER6, dst=SOLICITED, hlim=255) / ns, SOLICITED_MAC)
    vlan, frame = wire.receive(lambda f: ICMPv6ND_NA in f and f[ICMPv6ND_NA].tgt == GATEWAY6 and f[IPv6].dst == PEER6)
    assert vlan == VLAN
    wire.send(IPv6(src=PEER6, dst=GATEWAY6) / ICMPv6EchoRequest(id=7), frame.src)
    vlan, frame = wire.receive(lambda f: ICMPv6EchoReply in f)
    assert vlan == VLAN


def test_other_tags_and_none_are_dropped_and_counted(gateway, wire):
    def dropped():
        return gateway.metrics().sum("pollgate_eth_drop_vlan_total")

    before, answered = dropped(), gateway.metrics().sum("pollgate_arp_replies_sent_total")
    for vlan in (None, 0, VLAN + 1):
        wire.send(ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=GATEWAY), EVERYBODY, vlan)
    wait_for(lambda: dropped() >= before + 3, "each is counted")
    assert gateway.metrics().sum("pollgate_arp_replies_sent_total") == answered

"""A hostile neighbour on the client's wire: frames by hand, each refused for its reason, while others are served.

Every test looks at exact counters. The witness is a well-behaved client that asks all the time; its connections and
answers have to be whole whatever else is on the wire.
"""

import contextlib
import itertools
import json
import random
import threading

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, GATEWAY6, HTTP, LAB, WORKERS, Client, Response, by_worker, ping, run_in, wait_for
from tests.e2e.wire import Wire, mac_of, segments
from tests.lab import netns
from tests.lab.service import pattern

CLIENT, CLIENT6 = "10.77.1.1", "fd77:1::1"
# A host that only this file speaks for.
EVIL, EVIL6, EVIL_MAC = "10.77.1.66", "fd77:1::66", "02:00:00:00:66:66"


class EvilWire(Wire):
    """'target' is the gateway's address."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    def frame(self, packet, dst=None, src=EVIL_MAC, **fields):
        return Ether(dst=dst or self.target, src=src, **fields) / packet


class Witness:
    """Asks over IPv4 and IPv6, over new connections and kept ones, until told to stop."""

    def __init__(self, new_connections=True):
        self.new_connections = new_connections
        self.answers = 0
        self.error = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _ask(self, stream, sock):
        sock.sendall(b"GET /checkout/bytes/20000 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        answer = Response(stream)
        assert (answer.status, answer.body) == (200, pattern(0, 20000))
        self.answers += 1

    def _run(self):
        try:
            with contextlib.ExitStack() as stack:
                kept = []
                for address in (GATEWAY, GATEWAY6):
                    sock = stack.enter_context(netns.connect(f"{LAB}-client", (address, HTTP), 60))
                    kept.append((stack.enter_context(sock.makefile("rb")), sock))
                while not self.stopping.is_set():
                    for stream, sock in kept:
                        self._ask(stream, sock)
                    if self.new_connections:
                        address = (GATEWAY, GATEWAY6)[self.answers // 2 % 2]
                        with netns.connect(f"{LAB}-client", (address, HTTP), 60) as sock, sock.makefile("rb") as stream:
                            self._ask(stream, sock)
        except Exception as error:  # for the thread that asks
            self.error = error

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: self.answers > 3 or self.error, "the witness is served")
        return self

    def __exit__(self, *exception):
        before = self.answers
        wait_for(lambda: self.answers > before + 3 or self.error, "the witness goes on being served")
        self.stopping.set()
        self.thread.join(60)
        assert self.error is None, self.error


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    gateway = new_shared_gateway(external=shop.DUAL_STACK)
    # Until then who claims one of our addresses is right (RFC 4862, 5.4).
    wait_for(lambda: gateway.metrics().sum("pollgate_nd_announcements_sent_total") > 0, "addresses are known to be unique")
    return gateway


@pytest.fixture
def client(gateway, services):
    return Client(gateway)


@pytest.fixture
def wire(gateway, client):
    ping(GATEWAY6, count=1)
    with EvilWire(mac_of(GATEWAY)) as wire:
        # The host introduces itself, so that it can be answered.
        wire.send(
            wire.frame(ARP(op=1, hwsrc=EVIL_MAC, psrc=EVIL, pdst=GATEWAY)),
            wire.frame(
                IPv6(src=EVIL6, dst=GATEWAY6, hlim=255)
                / ICMPv6ND_NS(tgt=GATEWAY6)
                / ICMPv6NDOptSrcLLAddr(lladdr=EVIL_MAC)
            ),
        )
        yield wire


@contextlib.contextmanager
def counted(gateway, **expected):
    """The block makes each counter grow by exactly that much."""
    names = {name: f"pollgate_{name}_total" for name in expected}

    def read():
        metrics = gateway.metrics()
        return {name: metrics.sum(metric) for name, metric in names.items()}

    before = read()
    yield

    def grown():
        now = read()
        return {name: now[name] - before[name] for name in expected}

    with contextlib.suppress(AssertionError):
        wait_for(lambda: all(grown()[n] >= expected[n] for n in expected), "counters")
    assert grown() == expected


def send_counted(gateway, wire, cases, hearers=1):
    """Sends the frames of (counter, frame) and checks that each was counted for its reason by so many workers, and
    nothing else for it."""
    expected = {}
    for counter, _ in cases:
        expected[counter] = expected.get(counter, 0) + hearers
    with counted(gateway, **expected):
        wire.send(*(frame for _, frame in cases))


def cut(frame, length):
    return bytes(frame)[:length]


def patched(frame, at, data):
    frame = bytes(frame)
    return frame[:at] + data + frame[at + len(data) :]


def test_truncated_and_malformed_ipv4(gateway, wire):
    tcp = TCP(sport=4000, dport=HTTP, flags="S", seq=1)
    good = wire.frame(IP(src=EVIL, dst=GATEWAY) / tcp)

    def ip(upper=tcp, **fields):
        return wire.frame(IP(**{"src": EVIL, "dst": GATEWAY, **fields}) / upper)

    with Witness():
        send_counted(
            gateway,
            wire,
            [
                ("eth_drop_type", wire.frame(Raw(b"x" * 46), type=0x88CC)),
                ("eth_drop_source", wire.frame(IP(src=EVIL, dst=GATEWAY) / tcp, src="01:00:5e:00:00:01")),
                ("eth_drop_source", wire.frame(IP(src=EVIL, dst=GATEWAY) / tcp, src=wire.target)),
                ("eth_drop_vlan", wire.frame(Dot1Q(vlan=5) / IP(src=EVIL, dst=GATEWAY) / tcp)),
                ("eth_drop_short", cut(wire.frame(Dot1Q(vlan=5)), 16)),
                *(("ip4_drop_short", cut(good, n)) for n in (14, 20, 33)),
                ("ip4_drop_version", ip(version=5)),
                ("ip4_drop_version", ip(ihl=4)),
                ("ip4_drop_short", cut(ip(ihl=15), 54)),
                ("ip4_drop_length", ip(len=19)),
                ("ip4_drop_truncated", ip(len=41)),
                ("ip4_drop_truncated", ip(len=65535)),
                ("ip4_drop_checksum", ip(chksum=1)),
                *(("ip4_drop_source", ip(src=a)) for a in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "10.77.1.255", GATEWAY)),
                ("ip4_drop_not_ours", ip(dst="10.77.1.253")),
                ("ip4_drop_not_ours", ip(dst="255.255.255.255")),
                ("ip4_drop_protocol", ip(UDP(sport=1, dport=53))),
                ("tcp_drop_checksum", ip(TCP(sport=4000, dport=HTTP, flags="S", chksum=1))),
                ("tcp_drop_short", ip(TCP(sport=4000, dport=HTTP, dataofs=4, flags="S"))),
                ("tcp_drop_short", ip(TCP(sport=4000, dport=HTTP, dataofs=15, flags="S"))),
                ("tcp_drop_short", ip(Raw(b"\x0f\xa0\x1f\x90\0\0"), proto=6)),
                ("icmp_drop_short", ip(Raw(b"\x08\0\0\0"), proto=1)),
                ("icmp_drop_checksum", ip(ICMP(type=8, chksum=1) / b"ping")),
                ("icmp_drop_type", ip(ICMP(type=13))),
                ("icmp_drop_type", ip(ICMP(type=5, gw=EVIL) / IP(src=GATEWAY, dst=CLIENT) / TCP())),
            ],
        )


def test_truncated_and_malformed_ipv6(gateway, wire):
    tcp = TCP(sport=4000, dport=HTTP, flags="S", seq=1)
    good = wire.frame(IPv6(src=EVIL6, dst=GATEWAY6) / tcp)

    def ip(upper=tcp, **fields):
        return wire.frame(IPv6(**{"src": EVIL6, "dst": GATEWAY6, **fields}) / upper)

    with Witness():
        send_counted(
            gateway,
            wire,
            [
                *(("ip6_drop_short", cut(good, n)) for n in (14, 30, 53)),
                ("ip6_drop_version", ip(version=4)),
                ("ip6_drop_length", ip(plen=0)),
                ("ip6_drop_truncated", ip(plen=21)),
                ("ip6_drop_truncated", ip(plen=65535)),
                *(("ip6_drop_source", ip(src=a)) for a in ("::", "::1", "ff02::1", "::ffff:10.77.1.66", GATEWAY6)),
                ("ip6_drop_not_ours", ip(dst="fd77:1::253")),
                ("ip6_drop_not_ours", ip(dst=f"::ffff:{GATEWAY}")),
                ("ip6_drop_scope", ip(src="fe80::66")),
                ("ip6_drop_protocol", ip(UDP(sport=1, dport=53))),
                ("ip6_drop_routing", ip(IPv6ExtHdrRouting(type=0, addresses=["fd77:1::99"]) / tcp)),
                ("ip6_drop_option", ip(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9E, optdata=b"\0\0")]) / tcp)),
                ("ip6_drop_short", cut(ip(IPv6ExtHdrDestOpt(len=9) / tcp, plen=28), 82)),
                ("tcp_drop_checksum", ip(TCP(sport=4000, dport=HTTP, flags="S", chksum=1))),
                ("icmp6_drop_checksum", ip(ICMPv6EchoRequest(cksum=1))),
                ("icmp6_drop_type", ip(ICMPv6ND_Redirect(tgt=EVIL6, dst=CLIENT6), hlim=255)),
            ],
        )


def test_overlapping_fragments(gateway, wire):
    """None is put together, whatever they add up to: a teardrop, an overlap that rewrites a header, a lonely tail."""
    tcp = bytes(TCP(sport=4000, dport=HTTP, flags="S", seq=1)) + b"x" * 60
    v4 = [(0, 1, tcp[:48]), (3, 1, tcp[:40]), (1, 0, tcp[:8]), (0, 1, b""), (8191, 0, b"x" * 8)]
    v6 = [(0, 1, tcp[:48]), (3, 1, tcp[:40]), (1, 0, tcp[:8]), (0, 0, tcp[:40]), (8191, 0, b"x" * 8)]
    with Witness(), counted(gateway, ip4_drop_fragment=50, ip6_drop_fragment=50):
        for ident in range(10):
            for offset, more, data in v4:
                flags = "MF" if more else 0
                wire.send(
                    wire.frame(IP(src=EVIL, dst=GATEWAY, id=ident, flags=flags, frag=offset, proto=6) / Raw(data))
                )
            for offset, more, data in v6:
                fragment = IPv6ExtHdrFragment(nh=6, offset=offset, m=more, id=ident)
                wire.send(wire.frame(IPv6(src=EVIL6, dst=GATEWAY6) / fragment / Raw(data)))


def test_forged_icmp_changes_no_connection(gateway, wire, client):
    """Errors about a connection that exists, by somebody who does not see it."""
    with Witness(), contextlib.ExitStack() as stack:
        cases = []
        for address, peer in ((GATEWAY, CLIENT), (GATEWAY6, CLIENT6)):
            sock = stack.enter_context(netns.connect(f"{LAB}-client", (address, HTTP), 60))
            stream = stack.enter_context(sock.makefile("rb"))
            cases.append((sock, stream, address, peer, sock.getsockname()[1]))
        with counted(gateway, tcp_icmp_ignored=80, tcp_mtu_reduced=0, tcp_unreachable=0):
            for _, _, address, peer, port in cases:
                for seq in random.sample(range(1 << 32), 20):
                    quoted = TCP(sport=HTTP, dport=port, seq=seq)
                    if address == GATEWAY:
                        ip = IP(src=EVIL, dst=address)
                        quote = IP(src=address, dst=peer) / quoted
                        wire.send(wire.frame(ip / ICMP(type=3, code=4, nexthopmtu=552) / quote))
                        wire.send(wire.frame(ip / ICMP(type=3, code=3) / quote))
                    else:
                        ip = IPv6(src=EVIL6, dst=address)
                        quote = IPv6(src=address, dst=peer) / quoted
                        wire.send(wire.frame(ip / ICMPv6PacketTooBig(mtu=1280) / quote))
                        wire.send(wire.frame(ip / ICMPv6DestUnreach(code=4) / quote))
        other = IP(src=EVIL, dst=GATEWAY)
        other6 = IPv6(src=EVIL6, dst=GATEWAY6)
        quoted = TCP(sport=HTTP, dport=1, seq=1)
        send_counted(
            gateway,
            wire,
            [
                ("icmp_drop_quote", wire.frame(other / ICMP(type=3) / IP(src=CLIENT, dst=GATEWAY) / quoted)),
                ("icmp_drop_quote", wire.frame(other / ICMP(type=3) / IP(src=GATEWAY, dst=CLIENT) / UDP())),
                ("icmp_drop_short", wire.frame(other / ICMP(type=3) / Raw(bytes(IP(src=GATEWAY, dst=CLIENT))))),
                ("icmp6_drop_quote", wire.frame(other6 / ICMPv6PacketTooBig() / IPv6(src=CLIENT6, dst=GATEWAY6) / quoted)),
                ("icmp6_drop_mtu", wire.frame(other6 / ICMPv6PacketTooBig(mtu=68) / IPv6(src=GATEWAY6, dst=CLIENT6) / quoted)),
                ("icmp6_drop_short", wire.frame(other6 / ICMPv6PacketTooBig() / IPv6(src=GATEWAY6, dst=CLIENT6))),
            ],
        )
        for sock, stream, *_ in cases:
            sock.sendall(b"GET /checkout/bytes/300000 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            assert Response(stream).body == pattern(0, 300_000)


def test_spoofed_arp_and_nd_make_and_move_nothing(gateway, wire):
    def arp(dst=None, **fields):
        return wire.frame(ARP(**{"op": 2, "hwsrc": EVIL_MAC, "psrc": "10.77.1.67", "pdst": GATEWAY, **fields}), dst)

    def na(target, option=EVIL_MAC, src=EVIL6, dst=GATEWAY6, hlim=255, **flags):
        message = ICMPv6ND_NA(tgt=target, R=0, **{"S": 1, "O": 1, **flags})
        return wire.frame(IPv6(src=src, dst=dst, hlim=hlim) / message / ICMPv6NDOptDstLLAddr(lladdr=option))

    def ns(target=GATEWAY6, option=EVIL_MAC, src="fd77:1::67", hlim=255, code=0):
        message = ICMPv6ND_NS(tgt=target, code=code)
        return wire.frame(IPv6(src=src, dst=GATEWAY6, hlim=hlim) / message / ICMPv6NDOptSrcLLAddr(lladdr=option))

    def ra(option=EVIL_MAC, src="fe80::66", hlim=255, code=0):
        message = ICMPv6ND_RA(code=code)
        return wire.frame(IPv6(src=src, dst=GATEWAY6, hlim=hlim) / message / ICMPv6NDOptSrcLLAddr(lladdr=option))

    everybody = "ff:ff:ff:ff:ff:ff"
    with Witness() as witness:
        wait_for(lambda: witness.answers > 60 or witness.error, "every endpoint has been used")
        # What the kernels may ask from when they look after the gateway is known before.
        (interface,) = json.loads(run_in("client", "ip", "-j", "addr", "show", "dev", "ca"))
        link_local = next(a["local"] for a in interface["addr_info"] if a["local"].startswith("fe80:"))
        ping(GATEWAY6, "-I", f"{link_local}%ca", count=1)
        run_in("svc", "ping", "-c", "1", "-w", "30", "-I", "10.77.2.1", "10.77.2.254")
        wait_for(lambda: len(set(by_worker(gateway, "pollgate_neigh_entries").values())) == 1, "every worker knows of them")
        metrics = gateway.metrics()
        known, moved = metrics.sum("pollgate_neigh_entries"), metrics.sum("pollgate_neigh_changed_total")
        send_counted(
            gateway,
            wire,
            [
                ("arp_drop_unasked", arp()),
                ("arp_drop_unasked", arp(dst=everybody)),
                ("arp_drop_conflict", arp(psrc=GATEWAY)),
                ("arp_drop_conflict", arp(op=1, psrc=GATEWAY, pdst=GATEWAY, dst=everybody)),
                ("arp_drop_sender", arp(hwsrc=everybody)),
                ("arp_drop_sender", arp(hwsrc="00:00:00:00:00:00")),
                ("arp_drop_sender", arp(hwsrc=wire.target)),
                ("arp_drop_sender", arp(psrc="192.0.2.1")),
                ("arp_drop_sender", arp(psrc="10.77.1.255")),
                ("arp_drop_not_ours", arp(op=1, pdst="10.77.1.99", dst=everybody)),
                ("arp_drop_malformed", arp(op=9)),
                ("arp_drop_malformed", patched(arp(), 14 + 4, b"\x08")),  # hardware addresses of 8 bytes
                ("arp_drop_malformed", cut(arp(), 41)),
                ("nd_drop_unasked", na("fd77:1::67")),
                ("nd_drop_unasked", na("fd77:1::67", S=0, dst=GATEWAY6)),
                ("nd_drop_hop_limit", na(CLIENT6, hlim=64)),
                ("nd_drop_hop_limit", ns(hlim=254)),
                ("nd_drop_conflict", na(GATEWAY6)),
                ("nd_drop_conflict", na(GATEWAY6, src=GATEWAY6)),
                ("nd_drop_override", na(CLIENT6, S=0, O=0)),
                ("nd_drop_sender", na(CLIENT6, option=everybody)),
                ("nd_drop_sender", ns(src="2001:db8::1")),
                ("nd_drop_sender", ns(option=wire.target)),
                ("nd_drop_malformed", ns(code=3)),
                ("nd_drop_malformed", na("ff02::1")),
                ("nd_drop_not_ours", ns(target="fd77:1::99")),
                ("nd_drop_router", wire.frame(IPv6(src="fe80::66", dst=GATEWAY6, hlim=255) / ICMPv6ND_RS())),
                ("nd_drop_hop_limit", ra(hlim=254)),
                ("nd_drop_sender", ra(src=EVIL6)),
                ("nd_drop_sender", ra(option=everybody)),
                ("nd_drop_malformed", ra(code=1)),
            ],
            hearers=WORKERS,
        )
        metrics = gateway.metrics()
        assert metrics.sum("pollgate_neigh_entries") == known
        assert metrics.sum("pollgate_neigh_changed_total") == moved


def test_bad_tcp_options_are_read_as_far_as_they_are_good(gateway, wire):
    """A SYN with options of any bytes is answered as if the bad ones were not there."""
    options = [
        b"\x02\x00\x05\xb4",  # a length of nothing
        b"\x02\x01\x05\xb4",
        b"\x02\x28\x05\xb4",  # beyond the header
        b"\x02",
        b"\x02\x04\x00\x00",  # an MSS of 0
        b"\x02\x04\x05\xb4\x02\x04\x00\x01",  # twice
        b"\x03\x03\xff\x00",  # a shift of 255
        b"\x03\x02\x07\x07",
        b"\x08\x0a\x00\x00",  # a timestamp cut short
        b"\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x01\x01",  # SACK in a SYN
        b"\xfe\xfe\xfe\xfe" * 10,
        b"\x00" + b"\xff" * 39,
        b"\x01" * 40,
        bytes(random.Random(1).randrange(256) for _ in range(40)),
    ]
    with Witness(), counted(gateway, tcp_drop_short=0, tcp_drop_checksum=0):
        for i, bad in enumerate(options):
            bad += b"\x00" * (-len(bad) % 4)
            port = 20000 + i
            wire.send(
                wire.frame(ARP(op=2, hwsrc=EVIL_MAC, psrc=EVIL, pdst=GATEWAY)),  # should we be probed
                wire.frame(ARP(op=1, hwsrc=EVIL_MAC, psrc=EVIL, pdst=GATEWAY)),  # should we be forgotten
            )
            syn = TCP(sport=port, dport=HTTP, flags="S", seq=1000, dataofs=5 + len(bad) // 4) / Raw(bad)
            wire.send(wire.frame(IP(src=EVIL, dst=GATEWAY) / syn))
            answer = wire.receive(lambda f: TCP in f and IP in f and f[IP].dst == EVIL and f[TCP].dport == port)
            assert answer[TCP].flags == "SA"
            assert answer[TCP].ack == 1001
            assert 0 < dict(answer[TCP].options)["MSS"] <= 1460
            reset = TCP(sport=port, dport=HTTP, flags="R", seq=1001)
            wire.send(wire.frame(IP(src=EVIL, dst=GATEWAY) / reset))


def test_rst_storm_ends_no_connection(gateway, wire, client):
    """Blind resets all over the sequence space (RFC 5961, 3): none hits the one number that counts."""
    n = 1500
    with Witness(new_connections=False), contextlib.ExitStack() as stack:
        cases = []
        for address, peer in ((GATEWAY, CLIENT), (GATEWAY6, CLIENT6)):
            sock = stack.enter_context(netns.connect(f"{LAB}-client", (address, HTTP), 60))
            cases.append((sock, stack.enter_context(sock.makefile("rb")), address, peer, sock.getsockname()[1]))
        names = ("pollgate_tcp_drop_window_total", "pollgate_tcp_drop_reset_total")
        before, sent = sum(gateway.metrics().sum(name) for name in names), 0

        def counted_resets():
            metrics = gateway.metrics()
            return sum(metrics.sum(name) for name in names) - before

        with counted(gateway, tcp_reset_by_peer=0):
            for _, _, address, peer, port in cases:
                ip = IP(src=peer, dst=address) if address == GATEWAY else IPv6(src=peer, dst=address)
                frame = wire.frame(ip / TCP(dport=HTTP, flags="R"))
                first = random.randrange(1 << 32)
                numbers = ((port, (first + i * ((1 << 32) // n)) & 0xFFFFFFFF) for i in range(n))
                for segment in segments(frame, numbers):
                    wire.send(segment)
                    sent += 1
                    if sent % 250 == 0:  # what the receive ring cannot hold would be lost uncounted
                        wait_for(lambda: counted_resets() >= sent, "every RST is counted")
        for sock, stream, *_ in cases:
            sock.sendall(b"GET /checkout/bytes/1000 HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            assert Response(stream).body == pattern(0, 1000)


def test_syn_storm_does_not_keep_others_out(gateway, wire):
    """SYNs from a host that is there but never goes on, and from many that are not there at all."""
    n = 2000
    before = gateway.metrics()
    storm = []
    for family, src, dst in ((IP, EVIL, GATEWAY), (IPv6, EVIL6, GATEWAY6)):
        frame = wire.frame(family(src=src, dst=dst) / TCP(dport=HTTP, flags="S"))
        storm.extend(segments(frame, ((1024 + i, 7) for i in range(n))))
    for i in range(300):
        syn = TCP(sport=1024 + i, dport=HTTP, flags="S", seq=7)
        storm.append(wire.frame(IP(src=f"10.77.1.{100 + i % 100}", dst=GATEWAY) / syn))
        storm.append(wire.frame(IPv6(src=f"fd77:1::1:{i:x}", dst=GATEWAY6) / syn))
    blows = itertools.cycle([storm[at : at + 250] for at in range(0, len(storm), 250)])

    def has_blown_over():
        wire.send(*next(blows))  # for what the receive ring has lost
        received = gateway.metrics().sum("pollgate_tcp_rx_segments_total")
        return received - before.sum("pollgate_tcp_rx_segments_total") >= 2 * n + 600

    with Witness(new_connections=False) as witness:
        wire.send(*storm)
        wait_for(has_blown_over, "as many SYNs came in")
        answers = witness.answers
        wait_for(lambda: witness.answers > answers + 3 or witness.error, "served during the storm")
    after = gateway.metrics()
    # None of them became a connection: those there are, are the witness's.
    assert after.sum("pollgate_tcp_passive_opens_total") - before.sum("pollgate_tcp_passive_opens_total") <= 2
    assert gateway.process.poll() is None

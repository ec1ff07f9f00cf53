"""A flood of SYNs in raw frames, from an address that never answers, and a client that comes meanwhile."""

import contextlib
import threading

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, GATEWAY6, HTTP, HTTP_URL, WORKERS, Client, wait_for
from tests.e2e.wire import Wire, mac_of, segments

ATTACKERS = {GATEWAY: "10.77.1.77", GATEWAY6: "fd77:1::77"}
PORTS = 20_000
ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
ICMP6, SOLICITATION = 58, 135


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(external=shop.DUAL_STACK)


def answer_to(data, attacker, mac):
    """To the question for the attacker, who lives here: what is sent to it is to leave the gateway."""
    if data[12:14] == b"\x86\xdd" and (data[20], data[54]) != (ICMP6, SOLICITATION):
        return None  # the many SYN-ACKs, at a glance
    question = Ether(data)
    reply = Ether(dst=question.src, src=mac)
    if ARP in question and (question.op, question.pdst) == (1, attacker):
        return reply / ARP(op=2, hwsrc=mac, psrc=attacker, hwdst=question.hwsrc, pdst=question.psrc)
    if ICMPv6ND_NS in question and question[ICMPv6ND_NS].tgt == attacker:
        advertisement = ICMPv6ND_NA(tgt=attacker, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac)
        return reply / IPv6(src=attacker, dst=question[IPv6].src, hlim=255) / advertisement
    return None


def answer_for(attacker, wire, stop):
    wire.socket.settimeout(0.2)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            answer = answer_to(wire.socket.recv(2048), attacker, wire.mac)
            if answer is not None:
                wire.send(answer)


@pytest.mark.parametrize("address", [GATEWAY, GATEWAY6])
def test_a_client_gets_through_a_syn_flood(gateway, services, address):
    client = Client(gateway, address)
    attacker, stop = ATTACKERS[address], threading.Event()
    assert client.status(f"{HTTP_URL}/checkout") == 200
    before = gateway.metrics()
    wire = Wire(ETH_P_IPV6 if address == GATEWAY6 else ETH_P_ARP)
    ip = (IPv6 if address == GATEWAY6 else IP)(src=attacker, dst=address)
    frame = Ether(dst=mac_of(address), src=wire.mac) / ip / TCP(dport=HTTP, flags="S", window=65535)
    frames = list(segments(frame, ((port, port * 7919) for port in range(1024, 1024 + PORTS))))

    def flood():
        while not stop.is_set():
            for frame in frames:
                with contextlib.suppress(OSError):  # ENOBUFS: a full queue loses it
                    wire.socket.send(frame)

    def rose(name, by):
        return gateway.metrics().sum(name) - before.sum(name) >= by

    threads = [
        threading.Thread(target=answer_for, args=(attacker, wire, stop)),
        threading.Thread(target=flood),
    ]
    for t in threads:
        t.start()
    try:
        wait_for(lambda: rose("pollgate_tcp_syn_cookies_sent_total", 1000), "cookies")
        for _ in range(20):
            assert client.status(f"{HTTP_URL}/checkout") == 200
    finally:
        stop.set()
        for t in threads:
            t.join()
        wire.socket.close()
    assert rose("pollgate_tcp_syn_cookies_accepted_total", 1)
    assert gateway.metrics().sum("pollgate_tcp_state_syn_received") <= 1024 * WORKERS  # of a listener

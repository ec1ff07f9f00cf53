"""A flood of SYNs in raw frames, from an address that never answers, and a client that comes meanwhile."""

import socket
import struct
import threading

from tests.e2e.conftest import GATEWAY, HTTP, LAB, wait_for
from tests.lab import netns

ATTACKER = "10.77.1.77"
PORTS = 20_000


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(own_mac, gateway_mac, port):
    source, target = socket.inet_aton(ATTACKER), socket.inet_aton(GATEWAY)
    tcp = struct.pack("!HHIIBBHHH", port, HTTP, port * 7919, 0, 5 << 4, 2, 65535, 0, 0)
    tcp = tcp[:16] + struct.pack("!H", checksum(source + target + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0, source, target)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return gateway_mac + own_mac + b"\x08\x00" + ip + tcp


def raw_socket(protocol):
    with netns.inside(f"{LAB}-client"):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
        s.bind(("ca", protocol))
    return s


def answer_arp(sock, stop):
    """Says that the attacker lives here, so that what is sent to it leaves the gateway."""
    mac = sock.getsockname()[4]
    sock.settimeout(0.2)
    while not stop.is_set():
        try:
            frame = sock.recv(2048)
        except TimeoutError:
            continue
        if frame[20:22] == b"\x00\x01" and frame[38:42] == socket.inet_aton(ATTACKER):
            sock.send(
                frame[6:12] + mac + frame[12:20] + b"\x00\x02" + mac + frame[38:42] + frame[22:28] + frame[28:32]
            )


def gateway_mac():
    with netns.inside(f"{LAB}-client"), open("/proc/thread-self/net/arp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[0] == GATEWAY:
                return bytes.fromhex(fields[3].replace(":", ""))
    raise AssertionError("the client has not spoken to the gateway yet")


def test_a_client_gets_through_a_syn_flood(gateway, client, services):
    client.curl(f"http://shop.example:{HTTP}/checkout")
    before = gateway.metrics()
    arp, raw, stop = raw_socket(0x0806), raw_socket(0x0800), threading.Event()
    mac, there = raw.getsockname()[4], gateway_mac()
    frames = [syn(mac, there, 1024 + i) for i in range(PORTS)]

    def flood():
        while not stop.is_set():
            for frame in frames:
                raw.send(frame)

    def rose(name, by):
        return gateway.metrics().sum(name) - before.sum(name) >= by

    threads = [threading.Thread(target=answer_arp, args=(arp, stop)), threading.Thread(target=flood)]
    for t in threads:
        t.start()
    try:
        wait_for(lambda: rose("pollgate_tcp_syn_cookies_sent_total", 1000), "cookies")
        for _ in range(20):
            assert client.status(f"http://shop.example:{HTTP}/checkout") == 200
    finally:
        stop.set()
        for t in threads:
            t.join()
        arp.close()
        raw.close()
    assert rose("pollgate_tcp_syn_cookies_accepted_total", 1)
    assert gateway.metrics().sum("pollgate_tcp_state_syn_received") <= 1024  # of a listener

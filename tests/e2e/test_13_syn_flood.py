"""A flood of SYNs in raw frames, from an address that never answers, and a client that comes meanwhile."""

import contextlib
import ipaddress
import json
import socket
import struct
import subprocess
import threading

import pytest

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, GATEWAY6, HTTP, LAB, WORKERS, Client, wait_for
from tests.lab import netns

ATTACKERS = {GATEWAY: "10.77.1.77", GATEWAY6: "fd77:1::77"}
PORTS = 20_000
TCP, ICMP6 = 6, 58
SOLICITATION, ADVERTISEMENT = 135, 136


@pytest.fixture(scope="module")
def shared_gateway(new_shared_gateway):
    return new_shared_gateway(external=shop.DUAL_STACK)


def packed(address):
    return ipaddress.ip_address(address).packed


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def with_sum(source, target, protocol, message, at):
    """'message' with its checksum, pseudo header included, at that place."""
    pseudo = packed(source) + packed(target) + struct.pack("!HH", protocol, len(message))
    return message[:at] + checksum(pseudo + message) + message[at + 2 :]


def packet(source, target, protocol, payload):
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255) + packed(source) + packed(target) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0x4000, 64, protocol, 0) + packed(source) + packed(target)
    return ip[:10] + checksum(ip) + ip[12:] + payload


def ethernet(target_mac, own_mac, source, payload):
    return target_mac + own_mac + (b"\x86\xdd" if ":" in source else b"\x08\x00") + payload


def syn(source, target, port):
    tcp = struct.pack("!HHIIBBHHH", port, HTTP, port * 7919, 0, 5 << 4, 2, 65535, 0, 0)
    return packet(source, target, TCP, with_sum(source, target, TCP, tcp, 16))


def raw_socket(protocol):
    with netns.inside(f"{LAB}-client"):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
        s.bind(("ca", protocol))
    return s


def arp_answer(frame, attacker, mac):
    if frame[20:22] != b"\x00\x01" or frame[38:42] != packed(attacker):
        return None
    return frame[6:12] + mac + frame[12:20] + b"\x00\x02" + mac + frame[38:42] + frame[22:28] + frame[28:32]


def nd_answer(frame, attacker, mac):
    if frame[20] != ICMP6 or frame[54] != SOLICITATION or frame[62:78] != packed(attacker):
        return None
    asker = str(ipaddress.ip_address(frame[22:38]))
    advertisement = struct.pack("!BBHI", ADVERTISEMENT, 0, 0, 0x60000000) + packed(attacker) + b"\x02\x01" + mac
    advertisement = with_sum(attacker, asker, ICMP6, advertisement, 2)
    return ethernet(frame[6:12], mac, attacker, packet(attacker, asker, ICMP6, advertisement))


def answer_for(attacker, sock, stop):
    """Says that the attacker lives here, so that what is sent to it leaves the gateway."""
    mac, answer_of = sock.getsockname()[4], nd_answer if ":" in attacker else arp_answer
    sock.settimeout(0.2)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            answer = answer_of(sock.recv(2048), attacker, mac)
            if answer is not None:
                sock.send(answer)


def mac_of(address):
    said = subprocess.run(
        ["ip", "-n", f"{LAB}-client", "-j", "neigh", "show", address], check=True, stdout=subprocess.PIPE
    ).stdout
    return bytes.fromhex(json.loads(said)[0]["lladdr"].replace(":", ""))


@pytest.mark.parametrize("address", [GATEWAY, GATEWAY6])
def test_a_client_gets_through_a_syn_flood(gateway, services, address):
    client = Client(gateway, address)
    attacker, family = ATTACKERS[address], 0x86DD if ":" in address else 0x0800
    assert client.status(f"http://shop.example:{HTTP}/checkout") == 200
    before = gateway.metrics()
    listening, raw, stop = raw_socket(0x86DD if ":" in address else 0x0806), raw_socket(family), threading.Event()
    own, target = raw.getsockname()[4], mac_of(address)
    frames = [ethernet(target, own, attacker, syn(attacker, address, 1024 + i)) for i in range(PORTS)]

    def flood():
        while not stop.is_set():
            for frame in frames:
                with contextlib.suppress(OSError):  # ENOBUFS: a full queue loses it
                    raw.send(frame)

    def rose(name, by):
        return gateway.metrics().sum(name) - before.sum(name) >= by

    threads = [
        threading.Thread(target=answer_for, args=(attacker, listening, stop)),
        threading.Thread(target=flood),
    ]
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
        listening.close()
        raw.close()
    assert rose("pollgate_tcp_syn_cookies_accepted_total", 1)
    assert gateway.metrics().sum("pollgate_tcp_state_syn_received") <= 1024 * WORKERS  # of a listener

"""Frames by hand on the client's wire."""

import json
import socket
import struct
import time

from scapy.layers.inet import IP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import checksum

from tests.e2e.conftest import LAB, ping, run_in
from tests.lab import netns

SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 1 << 4


class Wire:
    """A packet socket on the client's interface; 'mac' is its address."""

    def __init__(self, *protocol):
        self.socket = netns.packet_socket(f"{LAB}-client", "ca", *protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.mac = self.socket.getsockname()[4].hex(":")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        for frame in frames:
            self.socket.send(bytes(frame))

    def receive(self, matches):
        """The first frame of others for which matches(Ether) holds, with the tag that the kernel hands over apart; it comes in a minute."""
        end = time.monotonic() + 60
        while True:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            data, auxiliary, _, address = self.socket.recvmsg(1 << 16, 256)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            for level, kind, value in auxiliary:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", value[:20])
                    if status & TP_STATUS_VLAN_VALID:
                        data = data[:12] + struct.pack("!HH", 0x8100, tci) + data[12:]
            frame = Ether(data)
            if matches(frame):
                return frame


def tag(frame):
    return frame[Dot1Q].vlan if Dot1Q in frame else None


def mac_of(address):
    """Of the gateway, as the client's kernel knows it."""
    ping(address, count=1)
    return json.loads(run_in("client", "ip", "-j", "neigh", "show", address.partition("%")[0]))[0]["lladdr"]


def segments(frame, numbers):
    """The frame of a TCP header without options, with each (source port, sequence number); scapy takes far longer."""
    data = bytearray(bytes(frame))
    at = len(data) - 20
    pseudo = data[26:34] if IP in frame else data[22:54]
    pseudo += struct.pack("!HH", 6, 20)
    for port, seq in numbers:
        struct.pack_into("!H", data, at, port)
        struct.pack_into("!I", data, at + 4, seq)
        struct.pack_into("!H", data, at + 16, 0)
        struct.pack_into("!H", data, at + 16, checksum(bytes(pseudo + data[at:])))
        yield bytes(data)

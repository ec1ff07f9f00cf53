"""A path that loses, doubles and reorders frames, for a kernel that has no netem.

    client's TCP -- TAP "lossy" -- [thread here: seeded dice] -- packet socket on "ca" --veth-- gateway

The client's addresses, the hardware's too, move to the TAP for the time. Only TCP is touched."""

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time

from tests.lab import netns

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC, PACKET_OUTGOING = 263, 1, 1, 4
ADDRESSES = (("10.77.1.1/24",), ("fd77:1::1/64", "nodad"))
SPARE_MAC = "02:00:00:00:00:0a"


def is_tcp(frame):
    return (frame[12:14] == b"\x08\x00" and frame[23] == 6) or (frame[12:14] == b"\x86\xdd" and frame[20] == 6)


class LossyPath:
    """In 1/1000 each: 'loss', 'duplicate', 'reorder' (held back for up to 'delay' seconds)."""

    def __init__(self, namespace, mtu=1500, seed=1, loss=20, duplicate=10, reorder=30, delay=0.004):
        self.namespace, self.mtu, self.delay = namespace, mtu, delay
        self.loss, self.duplicate, self.reorder = loss, duplicate, reorder
        self.dice = random.Random(seed)
        self.lost = 0
        self._held = []  # a heap of (when, number, where, frame)
        self._n = 0

    def _ip(self, *words):
        return subprocess.run(["ip", "-n", self.namespace, *words], check=True, stdout=subprocess.PIPE).stdout

    def _sysctl(self, setting):
        subprocess.run(["ip", "netns", "exec", self.namespace, "sysctl", "-qw", setting], check=True)

    def __enter__(self):
        with contextlib.ExitStack() as undo, netns.inside(self.namespace):
            self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            undo.callback(os.close, self.tap)
            fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", b"lossy", IFF_TAP | IFF_NO_PI))
            self.wire = netns.packet_socket(self.namespace, "ca")
            undo.callback(self.wire.close)
            self.wire.setblocking(False)
            self.wire.setsockopt(
                SOL_PACKET,
                PACKET_ADD_MEMBERSHIP,
                struct.pack("iHH8s", socket.if_nametoindex("ca"), PACKET_MR_PROMISC, 0, b""),
            )
            # Only the TAP answers for its addresses, and what the gateway knows of the client stays true.
            self._sysctl("net.ipv4.conf.all.arp_ignore=1")
            undo.callback(self._sysctl, "net.ipv4.conf.all.arp_ignore=0")
            for address in ADDRESSES:
                self._ip("addr", "del", address[0], "dev", "ca")
                undo.callback(self._ip, "addr", "add", *address, "dev", "ca")
            mac = json.loads(self._ip("-j", "link", "show", "ca"))[0]["address"]
            self._ip("link", "set", "ca", "address", SPARE_MAC)
            undo.callback(self._ip, "link", "set", "ca", "address", mac)
            self._ip("link", "set", "lossy", "address", mac)
            self._ip("link", "set", "lossy", "mtu", str(self.mtu), "up")
            undo.callback(self._ip, "link", "set", "lossy", "down")  # runs first
            if self.mtu >= 1280:
                self._sysctl("net.ipv6.conf.lossy.disable_ipv6=0")
            for address in ADDRESSES[: 2 if self.mtu >= 1280 else 1]:
                self._ip("addr", "add", *address, "dev", "lossy")
            # With the device down its addresses may still be there; they go before they come back to "ca".
            undo.callback(self._ip, "addr", "flush", "dev", "lossy")
            self._stop_read, self._stop_write = os.pipe()
            undo.callback(os.close, self._stop_read)
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        os.close(self._stop_write)
        self._thread.join()
        self._undo.close()

    def _chance(self, in_1000):
        return self.dice.randrange(1000) < in_1000

    def _send(self, to_wire, frame):
        with contextlib.suppress(BlockingIOError):  # a full queue loses it, as queues do
            if to_wire:
                self.wire.send(frame)
            else:
                os.write(self.tap, frame)

    def _pass(self, to_wire, frame):
        if not is_tcp(frame):
            self._send(to_wire, frame)
            return
        if self._chance(self.loss):
            self.lost += 1
            return
        for _ in range(2 if self._chance(self.duplicate) else 1):
            if self._chance(self.reorder):
                when = time.monotonic() + self.dice.random() * self.delay
                heapq.heappush(self._held, (when, self._n, to_wire, frame))
                self._n += 1
            else:
                self._send(to_wire, frame)

    def _run(self):
        while True:
            bound = max(0, self._held[0][0] - time.monotonic()) if self._held else None
            ready, _, _ = select.select([self.tap, self.wire, self._stop_read], [], [], bound)
            if self._stop_read in ready:
                return
            with contextlib.suppress(BlockingIOError):
                for _ in range(64 if self.tap in ready else 0):
                    self._pass(True, os.read(self.tap, 2048))
            with contextlib.suppress(BlockingIOError):
                for _ in range(64 if self.wire in ready else 0):
                    frame, sender = self.wire.recvfrom(2048)
                    if sender[2] != PACKET_OUTGOING:
                        self._pass(False, frame)
            while self._held and self._held[0][0] <= time.monotonic():
                _, _, to_wire, frame = heapq.heappop(self._held)
                self._send(to_wire, frame)

"""Sockets in another network namespace, without leaving this process."""

import contextlib
import ctypes
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@contextlib.contextmanager
def inside(name):
    """The calling thread is in namespace 'name' for the block. Sockets made there stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _setns(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)
        os.close(there)


def enter(name):
    """For good, and for the calling thread."""
    with open(f"/run/netns/{name}") as there:
        _setns(there.fileno())


def reset_at_close(sock):
    """RST instead of FIN, so that nothing is left to be said."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _family(address):
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def connect(name, address, timeout=10, source=None):
    with inside(name):
        s = socket.socket(_family(address), socket.SOCK_STREAM)
    s.settimeout(timeout)
    if source is not None:
        s.bind(source)
    s.connect(address)
    return s


def accepts(name, address):
    """Whether somebody listens there."""
    try:
        connect(name, address, 1).close()
    except OSError:
        return False
    return True


def packet_socket(name, device, protocol=3):
    """Of all protocols (ETH_P_ALL) unless told otherwise."""
    with inside(name):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    s.bind((device, 0))
    return s


def listen(name, address, backlog=512):
    with inside(name):
        s = socket.socket(_family(address), socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as servers do; accepted sockets inherit it
    s.bind(address)
    s.listen(backlog)
    return s

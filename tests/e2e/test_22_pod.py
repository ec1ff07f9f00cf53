"""A pod: one interface with the kernel's address on it, which the gateway shares (addressing: shared).

    client namespace: 10.77.1.1 and, behind it, the services at 10.77.3.x     gw namespace: ga 10.77.1.254, the kernel's
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

from tests.e2e import shop
from tests.e2e.conftest import (
    BUILD,
    GATEWAY,
    GATEWAY6,
    HTTP,
    HTTPS,
    HTTPS_URL,
    HTTP_URL,
    LAB,
    WORKERS,
    Client,
    Response,
    ping,
    run_in,
    wait_for,
)
from tests.e2e.test_20_transfer import download
from tests.lab import netns, service
from tests.lab.cgroup import memory_group
from tests.lab.service import pattern

NEIGHBOUR = "10.77.1.1"
NEIGHBOUR6 = "fd77:1::1"

SERVICES = {name: [a.replace(".2.", ".3.") for a in addresses] for name, addresses in shop.SERVICES.items()}

# Whose name is none of ours, and which does no harm.
FOREIGN = """\
__attribute__((section("xdp"), used)) int of_others(void *packet)
{
	(void)packet;
	return 2; // XDP_PASS
}
char licensed_as[] __attribute__((section("license"), used)) = "GPL";
"""

# As a container with capabilities: {drop: [ALL], add: [NET_ADMIN, NET_RAW, BPF, IPC_LOCK]}.
AS_POD = ("setpriv", "--bounding-set", "-all,+net_admin,+net_raw,+bpf,+ipc_lock")


def run_pollgate(config):
    """Of a gateway that does not start."""
    with netns.inside(f"{LAB}-gw"):
        return subprocess.run(
            [BUILD / "pollgate", "run", "--config", config],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, range(os.cpu_count())),
            timeout=60,
        )


def udp_socket(namespace, address=None):
    with netns.inside(f"{LAB}-{namespace}"):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(30)
    if address is not None:
        s.bind(address)
    return s


class Kernel:
    """What goes on beside the gateway in its pod: each returns when it worked."""

    def __init__(self):
        self.echo = netns.listen(f"{LAB}-gw", (GATEWAY, 7000))
        self.dns = udp_socket("client", (NEIGHBOUR, 53))
        self.dns.settimeout(None)
        self.threads = [
            threading.Thread(target=self.serve_echo, daemon=True),
            threading.Thread(target=self.serve_dns, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def serve_echo(self):
        while True:
            try:
                s, _ = self.echo.accept()
            except OSError:
                return
            with s:
                s.sendall(s.recv(1000))

    def serve_dns(self):
        while True:
            query, asker = self.dns.recvfrom(1000)
            if query == b"end":
                return
            self.dns.sendto(b"answer to " + query, asker)

    def stop(self):
        self.echo.shutdown(socket.SHUT_RDWR)
        with udp_socket("client") as s:
            s.sendto(b"end", (NEIGHBOUR, 53))
        for thread in self.threads:
            thread.join(30)
        self.echo.close()
        self.dns.close()

    def works(self):
        ping(GATEWAY)
        with netns.connect(f"{LAB}-client", (GATEWAY, 7000), 30) as s:
            s.sendall(b"over the kernel's TCP")
            assert s.recv(1000) == b"over the kernel's TCP"
        with udp_socket("gw") as s:
            s.sendto(b"query", (NEIGHBOUR, 53))
            assert s.recvfrom(1000)[0] == b"answer to query"
        run_in("client", "curl", "-sS", "--fail", "-m", "30", f"http://{GATEWAY}:15021/healthz/ready")


@pytest.fixture(scope="module")
def pod(lab):
    run_in("gw", "ip", "addr", "add", f"{GATEWAY}/24", "dev", "ga")
    run_in("gw", "ip", "route", "add", "default", "via", NEIGHBOUR)
    addresses = [f"{a}/32" for of_service in SERVICES.values() for a in of_service]
    for address in addresses:
        run_in("client", "ip", "addr", "add", address, "dev", "ca")
    services = service.Services(f"{LAB}-client", SERVICES)
    kernel = Kernel()
    yield kernel
    kernel.stop()
    services.stop()
    for address in addresses:
        run_in("client", "ip", "addr", "del", address, "dev", "ca")
    run_in("gw", "ip", "addr", "flush", "dev", "ga")


@pytest.fixture(scope="module")
def shared_gateway(pod, new_shared_gateway):
    return new_shared_gateway(
        wrap=AS_POD,
        external={"name": "pod", "addressing": "shared", "addresses": None},
        mesh=None,
        replace={
            "appliance.yaml": lambda text: text.replace("127.0.0.1:15021", "0.0.0.0:15021"),
            "services.yaml": lambda text: text.replace("10.77.2.", "10.77.3."),
        },
    )


@contextlib.contextmanager
def setting(namespace, name, value):
    """A sysctl of the namespace, for the block."""
    before = run_in(namespace, "sysctl", "-n", name).strip()
    run_in(namespace, "sysctl", "-qw", f"{name}={value}")
    try:
        yield
    finally:
        run_in(namespace, "sysctl", "-qw", f"{name}={before}")


@contextlib.contextmanager
def ip6_of_the_pod():
    """The kernel's IPv6 address and default route, for the block, which the gateway has followed."""
    with setting("gw", "net.ipv6.conf.ga.disable_ipv6", 0):
        run_in("gw", "ip", "addr", "add", f"{GATEWAY6}/64", "dev", "ga", "nodad")
        run_in("gw", "ip", "-6", "route", "add", "default", "via", NEIGHBOUR6)
        try:
            wait_for(lambda: netns.accepts(f"{LAB}-client", (GATEWAY6, HTTP)), "the address is followed")
            yield
        finally:
            run_in("gw", "ip", "-6", "route", "del", "default")
            run_in("gw", "ip", "addr", "del", f"{GATEWAY6}/64", "dev", "ga")


@contextlib.contextmanager
def narrow_path(stack):
    """From the services' namespace over a link behind the client's, which is a router then and whose MTU is small."""
    near, far = ("fd77:9::1", "fd77:9::2") if stack == 6 else ("10.77.9.1", "10.77.9.2")
    length, family = (64, "-6") if stack == 6 else (24, "-4")
    forwarding = "net.ipv6.conf.all.forwarding" if stack == 6 else "net.ipv4.ip_forward"
    run_in("client", "ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", f"{LAB}-svc")
    try:
        for namespace, device, address in (("client", "near", near), ("svc", "far", far)):
            run_in(namespace, "sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=0")
            run_in(namespace, "ip", "link", "set", device, "up")
            run_in(namespace, "ip", "addr", "add", f"{address}/{length}", "dev", device, *(["nodad"] if stack == 6 else []))
        run_in("client", "ip", "link", "set", "near", "mtu", "1300")
        run_in("svc", "ip", family, "route", "add", GATEWAY6 if stack == 6 else GATEWAY, "via", near)
        with setting("client", forwarding, 1):
            yield far
    finally:
        run_in("client", "ip", "link", "del", "near")


def program_on_ga():
    link = json.loads(run_in("gw", "ip", "-j", "-d", "link", "show", "ga"))[0]
    return link.get("xdp", {}).get("prog", {}).get("id", 0)


a_sanitizers_memory_is_not_ours = pytest.mark.skipif(
    os.environ.get("VARIANT", "release") != "release", reason="a sanitizer's memory is not ours"
)


@a_sanitizers_memory_is_not_ours
def test_memory_of_the_pod_default(pod, gateway, client):
    download(client, f"{HTTPS_URL}/checkout/bytes/3000000", 3_000_000)
    assert gateway.memory_kib() < 256 * 1024


@a_sanitizers_memory_is_not_ours
def test_pod_under_load_stays_below_its_limit(pod, gateway):
    """The pod default, in a memory cgroup as the container has one: a thousand connections, big bodies both ways, TLS."""
    limit = 256 << 20
    gateway.stop()
    with memory_group(f"{LAB}-pod", limit) as group:
        gateway.start(group.enter)
        client = Client(gateway)
        with contextlib.ExitStack() as held:
            for i in range(1000):
                s = held.enter_context(client.connect() if i % 4 else client.connect_tls())
                s.sendall(b"GET /checkout/bytes/1000 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                with s.makefile("rb") as stream:
                    assert len(Response(stream).body) == 1000
            stalled = [held.enter_context(client.connect()) for _ in range(50)]
            for s in stalled:  # they read nothing, and their answers fill what the gateway lets them
                s.sendall(b"GET /payment/bytes/3000000 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            for path in ("checkout", "inventory"):
                download(client, f"{HTTPS_URL}/{path}/bytes/30000000", 30_000_000)
                answer = client.curl(f"{HTTPS_URL}/{path}/sum", "-d", "x" * 100_000)
                assert json.loads(answer.stdout)["length"] == 100_000
            assert client.status(f"{HTTP_URL}/inventory") == 200
        wait_for(gateway.is_quiet, "no exchange left")
        peak = group.peak()
        print(f"peak {peak / (1 << 20):.0f} MiB, resident {gateway.memory_kib() >> 10} MiB")
        assert group.kills() == 0
        assert gateway.stop() == 0
        assert peak < limit


def test_kernel_goes_on_while_the_gateway_serves(pod, gateway, client):
    pod.works()
    download(client, f"{HTTPS_URL}/checkout/bytes/3000000", 3_000_000)
    answer = client.curl(f"{HTTPS_URL}/checkout/sum", "-d", "x" * 100_000)
    assert json.loads(answer.stdout)["length"] == 100_000
    pod.works()
    assert client.status(f"{HTTP_URL}/inventory") == 200
    assert program_on_ga() != 0
    assert gateway.stop() == 0
    assert program_on_ga() == 0
    with pytest.raises(ConnectionRefusedError):  # by the kernel
        client.connect(HTTPS)


def test_neighbour_that_moves_is_followed(pod, gateway, client):
    upstream = f"{HTTP_URL}/checkout"
    assert client.status(upstream) == 200
    before = json.loads(run_in("client", "ip", "-j", "link", "show", "ca"))[0]["address"]
    with client.connect() as kept, kept.makefile("rb") as stream:
        kept.sendall(b"GET /checkout HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert Response(stream).status == 200
        run_in("client", "ip", "link", "set", "ca", "address", "02:00:00:77:01:99")
        try:
            # The kernel of the neighbour asks who has our address, and ours learns from the question.
            assert client.status(upstream) == 200
            kept.sendall(b"GET /inventory HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert Response(stream).status == 200
            pod.works()
            assert gateway.metrics().sum("pollgate_neigh_changed_total") >= 1
        finally:
            run_in("client", "ip", "link", "set", "ca", "address", before)
    assert client.status(upstream) == 200


def test_neighbour_that_moves_among_news_that_get_lost_is_followed(pod, gateway, client):
    """Of a burst that does not fit the socket the kernel keeps nothing; the gateway asks for what it missed."""

    def set_neighbours(*entries):
        with netns.inside(f"{LAB}-gw"):
            commands = "".join(f"neigh replace {address} lladdr {mac} dev ga nud permanent\n" for address, mac in entries)
            subprocess.run(["ip", "-batch", "-"], check=True, text=True, input=commands)

    before = json.loads(run_in("client", "ip", "-j", "link", "show", "ca"))[0]["address"]
    after = "02:00:00:77:01:99"
    set_neighbours((NEIGHBOUR, before))
    assert client.status(f"{HTTP_URL}/checkout") == 200
    moved = gateway.metrics().sum("pollgate_neigh_changed_total")
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        set_neighbours(*((f"10.77.1.{i % 100 + 100}", f"02:00:00:00:{i // 100:02x}:01") for i in range(3000)))
        set_neighbours((NEIGHBOUR, after))
        run_in("client", "ip", "link", "set", "ca", "address", after)
        gateway.process.send_signal(signal.SIGCONT)
        wait_for(lambda: gateway.metrics().sum("pollgate_neigh_changed_total") > moved, "the new address is known")
        assert client.status(f"{HTTP_URL}/checkout") == 200
    finally:
        gateway.process.send_signal(signal.SIGCONT)
        run_in("client", "ip", "link", "set", "ca", "address", before)
        run_in("gw", "ip", "neigh", "flush", "dev", "ga", "nud", "permanent")
    assert client.status(f"{HTTP_URL}/checkout") == 200


def test_addresses_and_routes_are_followed(pod, gateway, client):
    second = "10.77.1.253"
    run_in("gw", "ip", "addr", "add", f"{second}/24", "dev", "ga")
    try:
        url = f"http://{second}:{HTTP}/checkout"
        served = lambda: client.curl(url, "-H", "Host: shop.example", check=False).returncode == 0
        wait_for(served, "the address is followed")
        run_in("gw", "ip", "route", "del", "default")
        # A second is what this route waits.
        wait_for(lambda: client.status(f"{HTTP_URL}/impatient") in (503, 504), "no way to the services")
        run_in("gw", "ip", "route", "add", "10.77.3.0/24", "via", NEIGHBOUR)
        wait_for(lambda: client.status(f"{HTTP_URL}/impatient") == 200, "the new route is used")
    finally:
        run_in("gw", "ip", "route", "replace", "default", "via", NEIGHBOUR)
        run_in("gw", "ip", "route", "del", "10.77.3.0/24", check=False)
        run_in("gw", "ip", "addr", "del", f"{second}/24", "dev", "ga")
    wait_for(lambda: not netns.accepts(f"{LAB}-client", (second, HTTP)), "the address is gone")
    wait_for(lambda: client.status(f"{HTTP_URL}/impatient") == 200, "the default route is used")


@contextlib.contextmanager
def link_down():
    """Of the client: the gateway's has no carrier, for the block."""
    with setting("client", "net.ipv6.conf.ca.keep_addr_on_down", 1):
        run_in("client", "ip", "link", "set", "ca", "down")
        try:
            wait_for(lambda: "linkdown" in run_in("gw", "ip", "route", "show", "default"), "the kernel knows")
            yield
        finally:
            run_in("client", "ip", "link", "set", "ca", "up")


def test_routes_of_a_link_that_was_down_come_back_with_it(pod, gateway, client):
    """Of IPv4 routes whose link goes and comes the kernel says nothing: the news are the link's."""
    second = "10.77.1.253"
    followed = "following the kernel interface=pod addresses=2 routes=0"
    assert client.status(f"{HTTP_URL}/checkout") == 200
    try:
        with link_down():
            run_in("gw", "ip", "addr", "add", f"{second}/32", "dev", "ga")
            wait_for(lambda: followed in gateway.output(), "the address is followed")
        served = lambda: client.curl(f"{HTTP_URL}/checkout", check=False, timeout=5).returncode == 0
        wait_for(served, "the routes are used again")
    finally:
        run_in("gw", "ip", "addr", "del", f"{second}/32", "dev", "ga")


def port_of(gateway):
    return json.loads(gateway.ctl("status").stdout)["ports"][0]


@contextlib.contextmanager
def changed_link(gateway, attribute, value, followed=None):
    """An attribute of the gateway's interface, for the block, once it is followed; ends with the old one."""
    name, told = {"address": "mac", "mtu": "mtu"}[attribute], value if followed is None else followed
    before = port_of(gateway)[name]
    try:
        run_in("gw", "ip", "link", "set", "dev", "ga", attribute, str(value))
        wait_for(lambda: port_of(gateway)[name] == told, "the interface is followed")
        yield
    finally:
        run_in("gw", "ip", "link", "set", "dev", "ga", attribute, str(before))
    wait_for(lambda: port_of(gateway)[name] == before, "the interface is followed")


def test_hardware_address_of_the_interface_is_followed(pod, gateway, client):
    def changes():
        return gateway.metrics().sum("pollgate_port_link_changes_total", port="pod")

    def ask():
        run_in("client", "ip", "neigh", "flush", "dev", "ca")
        kept.sendall(b"GET /checkout HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert Response(stream).status == 200
        assert client.status(f"{HTTP_URL}/checkout") == 200
        pod.works()

    before = changes()
    with client.connect() as kept, kept.makefile("rb") as stream:
        with changed_link(gateway, "address", "02:00:00:77:01:98"):
            assert "the interface changed port=pod mac=02:00:00:77:01:98" in gateway.output()
            ask()
        ask()
    assert changes() == before + 2


def test_mtu_of_the_interface_is_followed(pod, gateway, client):
    def mtu():
        port = kept.getsockname()[1]
        (connection,) = json.loads(gateway.ctl("connections", f"remote=:{port}", "detail").stdout)["connections"]
        return connection["path"]["mtu"]

    def ask():
        kept.sendall(b"GET /checkout/bytes/300000 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert Response(stream).body == pattern(0, 300_000)
        assert client.curl(f"{HTTPS_URL}/checkout/bytes/300000", text=False).stdout == pattern(0, 300_000)

    with client.connect() as kept, kept.makefile("rb") as stream:
        ask()
        run_in("client", "ip", "link", "set", "ca", "mtu", "1300")
        try:
            with changed_link(gateway, "mtu", 1300):
                assert mtu() == 1300
                ask()
        finally:
            run_in("client", "ip", "link", "set", "ca", "mtu", "1500")
        assert mtu() == 1500
        with changed_link(gateway, "mtu", 1600, followed=1500):
            told = "the interface's MTU cannot be used port=pod mtu=1600 used=1500"
            wait_for(lambda: told in gateway.output(), "the larger one is told of")
            ask()
        ask()


def test_link_of_the_interface_is_told(pod, gateway, client):
    def is_up():
        return gateway.metrics().sum("pollgate_port_up", port="pod") == 1

    def status():
        return json.loads(gateway.ctl("status").stdout)["ports"][0]["link"]

    assert is_up() and status() is True
    with link_down():
        assert not is_up() and status() is False
    wait_for(is_up, "the link is up again")
    wait_for(lambda: client.status(f"{HTTP_URL}/impatient") == 200, "the routes are used again")


def test_route_that_is_replaced_by_one_of_another_interface_is_gone(pod, gateway, client):
    assert client.status(f"{HTTP_URL}/checkout") == 200
    try:
        run_in("gw", "ip", "route", "replace", "default", "dev", "gb")
        wait_for(lambda: client.status(f"{HTTP_URL}/impatient") in (503, 504), "no way to the services")
    finally:
        run_in("gw", "ip", "route", "replace", "default", "via", NEIGHBOUR)
    wait_for(lambda: client.status(f"{HTTP_URL}/impatient") == 200, "the route is used again")


def test_gateway_that_was_killed_is_replaced(pod, gateway, client):
    assert client.status(f"{HTTP_URL}/checkout") == 200
    left = program_on_ga()
    gateway.kill()
    assert program_on_ga() == left != 0
    ping(GATEWAY, count=1)
    with pytest.raises(TimeoutError):  # dropped, not reset: the next gateway may have it
        client.connect(timeout=1)
    gateway.start()
    assert program_on_ga() not in (0, left)
    assert "replaced the XDP program of a gateway that was killed" in gateway.output()
    assert client.status(f"{HTTP_URL}/checkout") == 200
    pod.works()


def test_own_interface_of_a_gateway_that_was_killed_is_replaced(pod, gateway, new_gateway, all_services):
    gateway.stop()
    run_in("gw", "ip", "addr", "flush", "dev", "ga")
    own = new_gateway()
    try:
        client = Client(own)
        assert client.status(f"{HTTP_URL}/checkout") == 200
        own.kill()
        assert program_on_ga() != 0
        own.start()
        assert own.output().count("replaced the XDP program of a gateway that was killed") == 2  # ga and gb
        assert client.status(f"{HTTP_URL}/checkout") == 200
        assert own.stop() == 0
        assert program_on_ga() == 0
    finally:
        run_in("gw", "ip", "addr", "add", f"{GATEWAY}/24", "dev", "ga")
        run_in("gw", "ip", "route", "replace", "default", "via", NEIGHBOUR)


@pytest.mark.parametrize("stack", [4, 6])
def test_icmp_errors_about_connections_reach_the_gateway(pod, gateway, stack):
    def count(name):
        return gateway.metrics().sum(f"pollgate_{name}_total")

    too_big = "icmp6_too_big_received" if stack == 6 else "icmp_too_big_received"
    with contextlib.ExitStack() as undo:
        if stack == 6:
            undo.enter_context(ip6_of_the_pod())
        undo.enter_context(narrow_path(stack))
        before = count("tcp_mtu_reduced"), count(too_big)
        client = Client(gateway, GATEWAY6 if stack == 6 else GATEWAY, "svc")
        answer = client.curl(f"{HTTP_URL}/checkout/bytes/300000", text=False)
        assert answer.stdout == pattern(0, 300_000)
        assert count("tcp_mtu_reduced") == before[0] + 1
        assert count(too_big) > before[1]


def test_ip6_is_shared_too(pod, gateway, client):
    client6 = Client(gateway, GATEWAY6)
    before = gateway.metrics()

    with ip6_of_the_pod():
        ping(GATEWAY6)
        answer = client6.curl(f"{HTTPS_URL}/checkout/bytes/3000000", text=False)
        assert answer.stdout == pattern(0, 3_000_000)
        answer = client6.curl(f"{HTTPS_URL}/checkout/sum", "-d", "x" * 100_000)
        assert json.loads(answer.stdout)["length"] == 100_000
        ping(GATEWAY6)
        with netns.listen(f"{LAB}-gw", (GATEWAY6, 7000)) as kernel:
            with netns.connect(f"{LAB}-client", (GATEWAY6, 7000), 30) as s, kernel.accept()[0] as accepted:
                accepted.sendall(b"the kernel's")
                assert s.recv(100) == b"the kernel's"
        pod.works()
    after = gateway.metrics()
    for name in ("icmp6_echo_replies", "nd_solicitations_sent", "nd_advertisements_sent", "nd_announcements_sent"):
        assert after.sum(f"pollgate_{name}_total") == before.sum(f"pollgate_{name}_total"), name
    assert client.status(f"{HTTP_URL}/checkout") == 200


def test_address_that_is_deprecated_is_served_but_no_source(pod, gateway, client):
    """RFC 6724, rule 3: as an address that moves between gateways is, so that nothing of one's own begins there."""
    deprecated = "fd77:1::253"
    services = {**SERVICES, "inventory": [NEIGHBOUR6]}
    with contextlib.ExitStack() as undo:
        undo.enter_context(ip6_of_the_pod())
        path, _ = undo.enter_context(gateway.editing("services.yaml"))
        endpoint = undo.enter_context(netns.listen(f"{LAB}-client", (NEIGHBOUR6, 8080)))
        run_in("gw", "ip", "addr", "add", f"{deprecated}/64", "dev", "ga", "nodad", "preferred_lft", "0")
        undo.callback(run_in, "gw", "ip", "addr", "del", f"{deprecated}/64", "dev", "ga")
        served = lambda: Client(gateway, deprecated).curl(f"{HTTP_URL}/checkout", check=False).returncode == 0
        wait_for(served, "the address is followed")
        path.write_text("---\n".join(shop.service_yaml(name, *addresses) for name, addresses in services.items()))
        gateway.ctl("reload")
        with client.connect() as s, s.makefile("rb") as stream:
            s.sendall(b"GET /inventory HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            upstream, source = endpoint.accept()
            with upstream:
                upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                assert Response(stream).status == 200
        assert source[0] == GATEWAY6
    assert client.status(f"{HTTP_URL}/inventory") == 200


def test_program_of_somebody_else_is_left_alone(pod, gateway, client, tmp_path):
    gateway.stop()
    (tmp_path / "foreign.c").write_text(FOREIGN)
    subprocess.run(
        ["clang", "-target", "bpf", "-O2", "-c", tmp_path / "foreign.c", "-o", tmp_path / "foreign.o"], check=True
    )
    run_in("gw", "ip", "link", "set", "dev", "ga", "xdp", "obj", str(tmp_path / "foreign.o"), "sec", "xdp")
    try:
        foreign = program_on_ga()
        assert foreign != 0
        answer = run_pollgate(gateway.config)
        assert answer.returncode == 1
        assert (
            f'port "pod": XDP program "of_others" ({foreign}) of somebody else is on interface "ga"; '
            "remove it first (ip link set dev ga xdp off)"
        ) in answer.stdout
        assert program_on_ga() == foreign
    finally:
        run_in("gw", "ip", "link", "set", "dev", "ga", "xdp", "off")
    gateway.start()
    assert client.status(f"{HTTP_URL}/checkout") == 200


def test_kernel_that_may_choose_our_ports_is_warned_of(pod, gateway, client):
    warning = "the kernel may choose local ports that are ours"
    told = "ports=61000-62000; change localPorts, or: sysctl -w net.ipv4.ip_local_reserved_ports=61000-65535"

    def restarted():
        gateway.stop()
        seen = len(gateway.output())
        gateway.start()
        return gateway.output()[seen:]

    assert warning not in gateway.output()
    with setting("gw", "net.ipv4.ip_local_port_range", "32768 62000"):
        line = next(line for line in restarted().splitlines() if warning in line)
        assert told in line
        with setting("gw", "net.ipv4.ip_local_reserved_ports", "61000-65535"):
            assert warning not in restarted()
    assert client.status(f"{HTTP_URL}/checkout") == 200


@contextlib.contextmanager
def second_name():
    """Of the interface, for the block."""
    run_in("gw", "ip", "link", "property", "add", "dev", "ga", "altname", "uplink")
    try:
        yield "uplink"
    finally:
        run_in("gw", "ip", "link", "property", "del", "dev", "ga", "altname", "uplink")


def test_one_interface_has_one_gateway(pod, gateway, client):
    text = (gateway.config / "appliance.yaml").read_text()
    second = gateway.run_dir / "second"
    shutil.copytree(gateway.config, second)
    for what in ("mgmt.sock", "15090", "15021"):
        text = text.replace(what, what.replace("mgmt", "second").replace("150", "250"))
    with second_name() as other:
        for name in ("ga", other):
            (second / "appliance.yaml").write_text(text.replace('"ga"', f'"{name}"'))
            answer = run_pollgate(second)
            assert answer.returncode == 1
            assert f'port "pod": another gateway that runs has interface "{name}"' in answer.stdout
    assert client.status(f"{HTTP_URL}/checkout") == 200


def run_with_own(gateway, interface):
    """Of a gateway that shall have an interface for itself, and does not start."""
    gateway.stop()
    own = gateway.run_dir / "own"
    shutil.copytree(gateway.config, own, dirs_exist_ok=True)
    text = (own / "appliance.yaml").read_text().replace('"ga"', f'"{interface}"')
    text = text.replace('"addressing": "shared"', f'"addressing": "own", "addresses": ["{GATEWAY}/24"]')
    (own / "appliance.yaml").write_text(text)
    answer = run_pollgate(own)
    assert answer.returncode == 1
    return answer.stdout


def test_interface_of_the_default_route_is_not_taken_by_any_name(pod, gateway):
    with second_name() as other:
        for name in ("ga", other):
            told = f'port "pod": interface "{name}" carries the kernel\'s default route'
            assert told in run_with_own(gateway, name)
    gateway.start()


def test_interface_with_more_queues_than_workers_is_refused(pod, gateway):
    def open_queue():
        tap, no_info, one_of_several = 2, 0x1000, 0x100  # <linux/if_tun.h>
        queue = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(queue, 0x400454CA, struct.pack("16sH22x", b"wide", tap | no_info | one_of_several))  # TUNSETIFF
        return queue

    with netns.inside(f"{LAB}-gw"):
        queues = [open_queue() for _ in range(WORKERS + 1)]
    try:
        told = f'port "pod": interface "wide" has {len(queues)} receive queues for {WORKERS} workers, and traffic of the others would be lost'
        assert told in run_with_own(gateway, "wide")
    finally:
        for queue in queues:
            os.close(queue)
    gateway.start()


def test_reload_follows_the_listeners(pod, gateway, client):
    more = "    - port: {number: 9443, name: more, protocol: HTTP}\n      hosts: ['*']\n"
    with pytest.raises(ConnectionRefusedError):
        client.connect(9443)
    with gateway.editing("gateway.yaml") as (gateways, text):
        gateways.write_text(text + more)
        gateway.ctl("reload")
        kept = client.connect(9443)
        stream = kept.makefile("rb")
        kept.sendall(b"GET /checkout HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert Response(stream).status == 200
    kept.close()
    stream.close()
    wait_for(lambda: "a port is the kernel's again port=9443" in gateway.output(), "the kernel has the port back")
    with pytest.raises(ConnectionRefusedError):
        client.connect(9443)

"""pollgatectl capture: frames as libpcap's readers see them."""

import signal
import subprocess

import pytest
from scapy.layers.inet import TCP
from scapy.utils import rdpcap

from tests.e2e.conftest import BUILD, HTTP, HTTPS, HTTPS_URL, HTTP_URL, Client, cores_of_workers, wait_for

URL = f"{HTTP_URL}/checkout"


class Capture:
    """A pollgatectl capture that goes on beside the test."""

    def __init__(self, gateway, path, *words):
        self.gateway = gateway
        self.path = path
        self.process = subprocess.Popen(
            [BUILD / "pollgatectl", "--socket", gateway.run_dir / "mgmt.sock", "capture", "-w", path, *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # The beginning of the file is written when the workers have the filter.
        wait_for(lambda: self.process.poll() is not None or (path.exists() and path.stat().st_size > 0), "it runs")

    def end(self):
        """Returns (exit status, last line)."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.strip()

    def interrupt(self):
        if BUILD.name == "tsan":
            pytest.skip("TSan holds back the signals of a process that reads")
        self.process.send_signal(signal.SIGINT)
        return self.end()


@pytest.fixture
def capture(gateway, tmp_path):
    made = []

    def start(*words):
        made.append(Capture(gateway, tmp_path / f"{len(made)}.pcapng", *words))
        return made[-1]

    yield start
    for c in made:
        if c.process.poll() is None:
            c.process.kill()
            c.process.communicate()


def tcp_frames(path):
    return [p[TCP] for p in rdpcap(str(path)) if TCP in p]


def client_port(frame):
    return frame.sport if frame.dport in (HTTP, HTTPS) else frame.dport


def begun(frames):
    """Those of connections whose beginning is there: a kernel may repeat what it had for a gateway before this one."""
    ports = {f.sport for f in frames if f.flags == "S"}
    return [f for f in frames if client_port(f) in ports]


def ended(path):
    """The ports of clients whose connection is there from its beginning to their FIN."""
    return {f.sport for f in begun(tcp_frames(path)) if "F" in f.flags and f.dport in (HTTP, HTTPS)}


def test_a_whole_connection_is_seen_in_both_directions(gateway, client, services, capture):
    c = capture("--port", "external", f"tcp port {HTTP}")
    assert client.status(URL) == 200
    # What is written is what had come; the connection's end may come a little later.
    wait_for(lambda: ended(c.path), "the client's FIN is seen")
    status, said = c.interrupt()
    assert status == 0, said
    frames = tcp_frames(c.path)
    assert said == f"{len(frames)} frames captured, 0 dropped"
    frames = begun(frames)
    # Each for the first time: on a slow machine, one or the other is repeated.
    assert list(dict.fromkeys(str(f.flags) for f in frames))[:3] == ["S", "SA", "A"]
    assert all(f.dport == HTTP for f in frames if f.flags == "S") and all(f.sport == HTTP for f in frames if f.flags == "SA")
    sent = b"".join(bytes(f.payload) for f in frames if f.dport == HTTP)
    received = b"".join(bytes(f.payload) for f in frames if f.sport == HTTP)
    assert b"GET /checkout HTTP/1.1\r\n" in sent
    assert b"HTTP/1.1 200 OK\r\n" in received
    times = [p.time for p in rdpcap(str(c.path))]
    assert times == sorted(times)
    blocks = c.path.read_bytes()[:200]
    assert b"external" in blocks and b"mesh" not in blocks


def test_the_count_is_exact(gateway, client, services, capture):
    c = capture("--count", "7", "tcp")
    assert client.status(URL) == 200
    assert client.status(URL) == 200
    assert c.end() == (0, "7 frames captured, 0 dropped")
    assert len(rdpcap(str(c.path))) == 7


def test_the_filter_is_honoured_and_frames_are_cut(gateway, client, services, capture):
    c = capture("--snaplen", "60", "tcp", "dst", "port", str(HTTPS))
    assert client.status(URL) == 200
    assert client.status(f"{HTTPS_URL}/checkout") == 200
    wait_for(lambda: ended(c.path), "the client's FIN is seen")
    assert c.interrupt()[0] == 0
    packets = rdpcap(str(c.path))
    assert packets and all(p[TCP].dport == HTTPS for p in packets)
    assert max(len(p) for p in packets) == 60
    assert max(p.wirelen for p in packets) > 200


def test_time_ends_it_too(gateway, capture):
    c = capture("--seconds", "1", "tcp port 1")
    assert c.end() == (0, "0 frames captured, 0 dropped")
    assert list(rdpcap(str(c.path))) == []


def test_what_cannot_be_is_refused_and_leaves_no_file(gateway, capture):
    for words, status, said in (
        (["tcp prot 80"], 2, 'expression "tcp prot 80": '),
        (["--count", "0"], 2, "count is 1 to 4294967295"),
        (["--port", "nowhere"], 2, 'no port "nowhere"'),
        (["--snaplen", "x"], 2, "snaplen is 1 to 65535"),
    ):
        c = capture(*words)
        got = c.end()
        assert got[0] == status and said in got[1], got
        assert not c.path.exists()
    # A program that jumps out of itself is none, whoever compiled it.
    for program in ("", "00", "15" + "00" + "ff" + "ff" + "00000000", "zz" * 8):
        answer = gateway.ctl("frames", f"program={program}", check=False)
        assert answer.returncode == 2 and "program is not one of BPF" in answer.stderr


def test_there_is_one_at_a_time_and_a_lost_client_ends_it(gateway, capture):
    first = capture("tcp port 1")
    second = capture()
    assert second.end() == (1, "pollgatectl: another capture is under way; there is one at a time")
    first.process.kill()
    first.process.communicate()
    wait_for(lambda: gateway.ctl("frames", "count=0", check=False).stderr.startswith("pollgatectl: count"), "it ended")
    third = capture("--seconds", "1", "tcp port 1")
    assert third.end()[0] == 0


def test_reload_goes_on_beside_it_and_the_end_of_the_gateway_completes_it(new_gateway, tmp_path):
    gateway = new_gateway()
    c = Capture(gateway, tmp_path / "x.pcapng", "icmp")
    gateway.ctl("reload")
    assert c.process.poll() is None
    assert gateway.stop() == 0
    assert c.end() == (0, "0 frames captured, 0 dropped")


def test_two_workers_make_one_file_and_each_frame_is_in_it_once(new_gateway, services, tmp_path):
    """On a port with one queue: what one worker receives for the other is captured where it came in."""
    gateway = new_gateway(cores_of_workers(2))
    c = Capture(gateway, tmp_path / "two.pcapng", "--port", "external", f"tcp port {HTTP}")
    client = Client(gateway)
    for _ in range(12):
        assert client.status(URL) == 200
    # Both workers have sent: 12 throws of a coin.
    wait_for(lambda: len(ended(c.path)) == 12, "all FINs are seen")
    status, said = c.interrupt()
    assert status == 0 and said.endswith(" 0 dropped")
    frames = begun(tcp_frames(c.path))
    assert {client_port(f) for f in frames if f.flags == "SA"} == ended(c.path)
    # What is repeated has a time or an identification of its own.
    seen = [bytes(f.underlayer) for f in frames]
    assert len(set(seen)) == len(seen)
    per_connection = {}
    for f in frames:
        per_connection.setdefault(client_port(f), {}).setdefault(str(f.flags))
    assert all(list(flags)[:3] == ["S", "SA", "A"] for flags in per_connection.values())

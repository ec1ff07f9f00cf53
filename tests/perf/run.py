#!/usr/bin/python3
"""The same load through pollgate, nginx and HAProxy, in the same lab, one after the other.

The gateway under test has the last core for itself; load generator and services share the others, and receive there (RPS). For the
kernel's peers the packet work of both gateway interfaces is steered to the gateway's core. With so few cores the load generator is
often the limit, so two numbers are printed: requests a second as seen by the client, and requests a core-second, which is
what the gateway would do if the rest of the lab were free: requests divided by the time its core was busy. For pollgate
that time is its own count of busy cycles, system calls included; for the others it is the core's non-idle time.

    run.py [--seconds N] [--only NAME,...] [--peers pollgate,nginx,haproxy]
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.e2e import shop  # noqa: E402
from tests.lab import netns  # noqa: E402

LAB = os.environ.setdefault("LAB_NAME", "perf")
BUILD = ROOT / "build" / os.environ.get("VARIANT", "release")
GATEWAY, HTTP, HTTPS = "10.77.1.254", 8080, 8443
BACKENDS = [f"10.77.2.1{i}" for i in (1, 2, 3)]


def script(name, *arguments):
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.strip()


def run(namespace, *command, **options):
    with netns.inside(f"{LAB}-{namespace}"):
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def spawn(namespace, cores, log, *command):
    with netns.inside(f"{LAB}-{namespace}"):
        return subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, cores)
        )


def receive_on(namespace, device, cores):
    """Where the kernel does the packet work of a device. (The namespace's own /sys shows its devices.)"""
    mask = f"{sum(1 << c for c in cores):x}"
    script("lab", "exec", namespace, "sh", "-c", f"echo {mask} > /sys/class/net/{device}/queues/rx-0/rps_cpus")


def wait_for(condition, what, bound=30):
    end = time.monotonic() + bound
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"perf: not within {bound} s: {what}")
        time.sleep(0.05)


def answers(namespace, url):
    return run(namespace, "curl", "-sk", "-o", "/dev/null", "--max-time", "2", url).returncode == 0


NGINX_HEAD = """\
daemon off; worker_processes 1; pid {run}/{name}.pid; error_log {run}/{name}.error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {run}/tmp; proxy_temp_path {run}/tmp;
  fastcgi_temp_path {run}/tmp; uwsgi_temp_path {run}/tmp; scgi_temp_path {run}/tmp; sendfile on; tcp_nopush on;
"""

BACKEND = NGINX_HEAD + """
  server {{
    {listen}
    location / {{ return 200 "hello from a service\\n"; }}
    location /checkout/file/ {{ alias {run}/files/; }}
  }}
}}
"""

NGINX = NGINX_HEAD + """
  upstream checkout {{ {servers} keepalive 256; keepalive_requests 1000000000; }}
  ssl_certificate {certs}/shop-cert.crt; ssl_certificate_key {certs}/shop-cert.key;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets on;
  server {{
    listen 8080; listen 8443 ssl http2;
    location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
                 proxy_set_header X-Forwarded-For $remote_addr; proxy_buffers 16 64k; proxy_buffer_size 64k;
                 proxy_pass http://checkout; }}
  }}
}}
"""

HAPROXY = """\
global
  nbthread 1
  maxconn 8192
  tune.ssl.default-dh-param 2048
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend shop
  bind :8080
  bind :8443 ssl crt {run}/haproxy.pem alpn h2,http/1.1
  option forwardfor
  default_backend checkout
backend checkout
  balance leastconn
{servers}
"""


class Kernel:
    """A peer on the kernel's stack: addresses on the gateway's interfaces, their packet work on its core."""

    def __init__(self, run_dir, core):
        self.run_dir = run_dir
        self.core = core
        self.process = None

    def start(self):
        for device, address in (("ga", f"{GATEWAY}/24"), ("gb", "10.77.2.254/24")):
            run("gw", "ip", "addr", "add", address, "dev", device, check=True)
            receive_on("gw", device, {self.core})
        self.log = open(self.run_dir / f"{self.name}.log", "wb")
        self.process = spawn("gw", {self.core}, self.log, *self.command())
        wait_for(lambda: answers("client", f"http://{GATEWAY}:{HTTP}/checkout"), f"{self.name} answers")
        self.version = run("gw", *self.version_command).stdout.splitlines()[0]

    def busy(self):
        """Seconds that the core was not idle, since boot."""
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name == f"cpu{self.core}":
                ticks = [int(t) for t in ticks]
                return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        for device in ("ga", "gb"):
            run("gw", "ip", "addr", "flush", "dev", device, check=True)


class Nginx(Kernel):
    name = "nginx"
    version_command = ("nginx", "-v")

    def command(self):
        servers = " ".join(f"server {a}:8080;" for a in BACKENDS)
        (self.run_dir / "nginx.conf").write_text(
            NGINX.format(run=self.run_dir, name="nginx", servers=servers, certs=self.run_dir / "config")
        )
        return ["nginx", "-c", str(self.run_dir / "nginx.conf")]


class Haproxy(Kernel):
    name = "haproxy"
    version_command = ("haproxy", "-v")

    def command(self):
        certs = self.run_dir / "config"
        (self.run_dir / "haproxy.pem").write_text(
            (certs / "shop-cert.crt").read_text() + (certs / "shop-cert.key").read_text()
        )
        servers = "\n".join(f"  server s{i} {a}:8080" for i, a in enumerate(BACKENDS))
        (self.run_dir / "haproxy.cfg").write_text(HAPROXY.format(run=self.run_dir, servers=servers))
        return ["haproxy", "-db", "-f", str(self.run_dir / "haproxy.cfg")]


class Pollgate:
    name = "pollgate"

    def __init__(self, run_dir, core):
        self.run_dir = run_dir
        self.core = core

    def start(self):
        mesh = shop.MESH.format(run=self.run_dir)
        mesh = re.sub(r"  meshConfig:.*?(?=  components:)", "", mesh, flags=re.S)  # no access log, as the others
        shop.write(self.run_dir / "config", self.core, replace={"mesh.yaml": mesh})
        self.log = open(self.run_dir / "pollgate.log", "wb")
        everywhere = set(range(os.cpu_count()))
        self.process = spawn("gw", everywhere, self.log, BUILD / "pollgate", "run", "--config", self.run_dir / "config")
        wait_for(lambda: answers("client", f"http://shop.example:{HTTP}/checkout") or self.alive(), "pollgate answers")
        wait_for(self.ready, "pollgate is ready")
        self.version = subprocess.run(
            [BUILD / "pollgate", "version"], text=True, stdout=subprocess.PIPE
        ).stdout.splitlines()[0]
        self.hz = float(re.search(r"cpu MHz\s*:\s*([\d.]+)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)) * 1e6

    def alive(self):
        if self.process.poll() is not None:
            sys.exit((self.run_dir / "pollgate.log").read_text())
        return True

    def ready(self):
        answer = subprocess.run(
            [BUILD / "pollgatectl", "--socket", self.run_dir / "mgmt.sock", "--json", "status"],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self.alive() and answer.returncode == 0 and json.loads(answer.stdout).get("state") == "serving"

    def busy(self):
        text = run("gw", "curl", "-sS", "http://127.0.0.1:15090/stats/prometheus", check=True).stdout
        cycles = sum(float(v) for v in re.findall(r"^pollgate_busy_cycles_total(?:\{[^}]*\})? (\S+)$", text, re.M))
        return cycles / self.hz

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def wrk(seconds):
    said = run(
        "client", "wrk", "-c32", "-t1", f"-d{seconds}", "--latency", "-H", "Host: shop.example",
        f"http://{GATEWAY}:{HTTP}/checkout", check=True,
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(said)
    return int(re.search(r"(\d+) requests in", said).group(1)), re.search(r"99%\s+(\S+)", said).group(1)


def h2load(*arguments):
    def load(seconds):
        said = run(
            "client", "h2load", *arguments, "-D", str(seconds), "--connect-to", f"{GATEWAY}:{HTTPS}",
            f"https://shop.example:{HTTPS}/checkout{load.path}", check=True,
        ).stdout
        done, failed = re.search(r"(\d+) succeeded, (\d+) failed", said).groups()
        if int(failed) > 0:
            sys.exit(said)
        return int(done), "-"

    load.path = ""
    return load


def download(seconds):
    load = h2load("--h1", "-c", "8")
    load.path = "/file/1m"
    return load(seconds)


def handshakes(seconds):
    """New TLS 1.3 connections with one request each, no resumption."""
    script_text = f"""
import socket, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[1])
end, n = time.monotonic() + {seconds}, 0
request = b"GET /checkout HTTP/1.1\\r\\nhost: shop.example\\r\\nconnection: close\\r\\n\\r\\n"
while time.monotonic() < end:
    with context.wrap_socket(socket.create_connection(("{GATEWAY}", {HTTPS})), server_hostname="shop.example") as s:
        s.sendall(request)
        while s.recv(65536):
            pass
    n += 1
print(n)
"""
    said = run("client", "/usr/bin/python3", "-c", script_text, str(handshakes.ca), check=True).stdout
    return int(said.split()[-1]), "-"


WORK = {
    "http": ("HTTP/1.1 keep-alive, small answers, 32 connections", wrk),
    "https": ("HTTPS keep-alive, HTTP/1.1, 32 connections", h2load("--h1", "-c", "32")),
    "handshakes": ("TLS 1.3 handshakes with one request each", handshakes),
    "download": ("HTTPS downloads of 1 MB, 8 connections", download),
}


def measure(peer, load, seconds):
    load(1)
    before, began = peer.busy(), time.monotonic()
    n, p99 = load(seconds)
    elapsed, busy = time.monotonic() - began, peer.busy() - before
    return {"rate": n / seconds, "per_core": n / busy, "busy": busy / elapsed, "p99": p99}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", default=",".join(WORK))
    parser.add_argument("--peers", default="nginx,haproxy,pollgate")
    arguments = parser.parse_args()
    core = int(script("lab", "core", "gateway"))
    rest = {int(c) for c in script("lab", "core", "rest").split(",")}
    os.sched_setaffinity(0, rest)
    run_dir = pathlib.Path(tempfile.mkdtemp(prefix="pollgate-perf-"))
    backend = None
    script("lab", "up")
    try:
        # What arrives at clients and services is not the work of the gateway's core, whoever sends it.
        receive_on("client", "ca", rest)
        receive_on("svc", "sb", rest)
        shop.write(run_dir / "config", core)
        handshakes.ca = run_dir / "config/ca.crt"
        (run_dir / "files").mkdir()
        (run_dir / "files/1m").write_bytes(bytes(1 << 20))
        listen = " ".join(f"listen {a}:8080;" for a in BACKENDS)
        (run_dir / "backend.conf").write_text(BACKEND.format(run=run_dir, name="backend", listen=listen))
        run_dir.chmod(0o755)
        with open(run_dir / "backend.log", "wb") as log:
            backend = spawn("svc", rest, log, "nginx", "-c", str(run_dir / "backend.conf"))
        wait_for(lambda: answers("svc", f"http://{BACKENDS[0]}:8080/checkout"), "the services answer")
        results = {}
        for peer_class in (Nginx, Haproxy, Pollgate):
            if peer_class.name not in arguments.peers.split(","):
                continue
            peer = peer_class(run_dir, core)
            peer.start()
            try:
                for name in arguments.only.split(","):
                    results[name, peer.name] = measure(peer, WORK[name][1], arguments.seconds)
            finally:
                peer.stop()
        for name in arguments.only.split(","):
            print(f"\n{WORK[name][0]}")
            print(f"  {'':10}{'requests/s':>12}{'core busy':>11}{'requests/core-s':>17}{'ratio':>8}{'p99':>10}")
            base = results.get((name, "nginx"))
            for peer in arguments.peers.split(","):
                r = results[name, peer]
                ratio = f"{r['per_core'] / base['per_core']:.1f}" if base else "-"
                print(
                    f"  {peer:10}{r['rate']:12.0f}{r['busy']:11.0%}{r['per_core']:17.0f}{ratio:>8}{r['p99']:>10}"
                )
    finally:
        if backend is not None:
            backend.terminate()
            backend.wait(30)
        script("lab", "down")
        shutil.rmtree(run_dir)


if __name__ == "__main__":
    main()

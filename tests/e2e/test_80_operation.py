"""Reload, drain, health, and what pollgatectl says."""

import contextlib
import fcntl
import json
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from tests.e2e.conftest import BUILD, GATEWAY, HTTP, HTTPS, HTTPS_URL, HTTP_URL, LAB, run_in, wait_for
from tests.e2e.load import Load
from tests.lab import netns



def test_fifty_reloads_under_load_fail_no_request(gateway, client, services):
    with Load(client) as load, gateway.editing("routes.yaml") as (routes, text):
        for i in range(50):
            routes.write_text(text.replace("timeout: 300s", f"timeout: {300 + i}s"))
            gateway.ctl("reload")
            answered = load.answered
            wait_for(lambda: load.answered > answered, "requests go on")
    assert not load.failures
    assert load.answered > 50
    wait_for(lambda: gateway.metrics().sum("pollgate_config_retired_snapshots") == 0, "old snapshots are freed")


def test_reload_changes_routes_and_endpoints(gateway, client, services):
    assert client.status(f"{HTTP_URL}/new") == 404
    with gateway.editing("routes.yaml") as (routes, text):
        routes.write_text(text.replace("prefix: /impatient", "prefix: /new"))
        gateway.ctl("reload")
        assert client.status(f"{HTTP_URL}/new") == 200
    assert client.status(f"{HTTP_URL}/new") == 404


def test_broken_reload_changes_nothing_and_says_what_is_wrong(gateway, client, services):
    before = json.loads(gateway.ctl("config").stdout)
    with gateway.editing("routes.yaml") as (routes, text):
        routes.write_text(text.replace("timeout: 300s", "timeout: 60 apples").replace("hosts: [shop.example]", "hosts: []"))
        answer = gateway.ctl("reload", check=False)
        assert answer.returncode == 1
        said = answer.stdout + answer.stderr
        assert re.search(r"routes\.yaml:\d+:\d+: spec\.http\[0\]\.timeout: ", said)
        assert re.search(r"routes\.yaml:\d+:\d+: spec\.hosts: ", said)
        assert client.status(f"{HTTP_URL}/checkout") == 200
        after = json.loads(gateway.ctl("config").stdout)
        assert after["version"] == before["version"]


def test_sighup_reloads(gateway, client, services):
    with gateway.editing("routes.yaml") as (routes, text):
        routes.write_text(text.replace("prefix: /impatient", "prefix: /hup"))
        gateway.process.send_signal(1)
        wait_for(lambda: client.status(f"{HTTP_URL}/hup") == 200, "the new route serves")


def test_health_and_readiness(gateway):
    for path, status in (("/healthz/ready", "200"), ("/healthz/live", "200"), ("/nothing", "404")):
        url = f"http://127.0.0.1:15021{path}"
        assert run_in("gw", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url) == status


@contextlib.contextmanager
def held(path):
    """A file that nobody can open for the block (fcntl(2), leases): who tries waits until its end, which the event tells."""
    asked = threading.Event()
    before = signal.signal(signal.SIGIO, lambda *_: asked.set())
    with open(path, "r+b") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        try:
            yield asked
        finally:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            signal.signal(signal.SIGIO, before)


def test_probes_are_answered_while_a_configuration_is_read(gateway, client, services):
    """Which may take many seconds: here as many as the test needs."""
    command = [BUILD / "pollgatectl", "--socket", gateway.run_dir / "mgmt.sock", "reload"]
    with held(gateway.config / "routes.yaml") as asked:
        reload = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(asked.is_set, "the configuration is being read")
        for path in ("/healthz/live", "/healthz/ready"):
            run_in("gw", "curl", "-sS", "--fail", "--max-time", "30", f"http://127.0.0.1:15021{path}")
        assert client.status(f"{HTTP_URL}/checkout") == 200
        assert reload.poll() is None
    assert reload.wait(60) == 0


def test_pollgatectl_shows_where_the_trouble_is(gateway, client, services):
    services.set("inventory", "status:500")
    for _ in range(6):
        client.status(f"{HTTP_URL}/inventory")
    clusters = json.loads(gateway.ctl("clusters").stdout)
    assert any("inventory-service" in json.dumps(c) for c in clusters["clusters"])
    routes = gateway.ctl("routes").stdout
    assert "VirtualService default/shop" in routes
    said = subprocess.run(
        [
            pathlib.Path(gateway.process.args[4]).parent / "pollgatectl",
            "--socket",
            gateway.run_dir / "mgmt.sock",
            "clusters",
        ],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    assert "10.77.2.21:8080" in said


def test_pollgatectl_fails_when_its_answer_cannot_be_written(gateway):
    command = [
        pathlib.Path(gateway.process.args[4]).parent / "pollgatectl",
        "--socket",
        gateway.run_dir / "mgmt.sock",
    ]
    with open("/dev/full", "w") as full:
        said = subprocess.run([*command, "metrics"], text=True, stdout=full, stderr=subprocess.PIPE)
    assert said.returncode == 1
    assert "cannot write" in said.stderr
    assert gateway.ctl("top", "1abc", check=False).returncode == 2


@pytest.mark.parametrize("tls", [False, True])
def test_load_generators_see_no_error(gateway, client, services, tls):
    if tls:
        command = ["h2load", "--h1", "-c", "16", "-D", "4", "--connect-to", f"{GATEWAY}:{HTTPS}"]
        command.append(f"{HTTPS_URL}/checkout")
        with netns.inside(f"{LAB}-client"):
            said = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=120).stdout
        assert re.search(r" (\d+) succeeded, 0 failed, 0 errored", said), said
    else:
        with netns.inside(f"{LAB}-client"):
            said = subprocess.run(
                ["wrk", "-c32", "-t1", "-d4", "--timeout", "60s", "-H", "Host: shop.example", f"http://{GATEWAY}:{HTTP}/checkout"],
                check=True,
                text=True,
                stdout=subprocess.PIPE,
                timeout=120,
            ).stdout
        assert "Non-2xx" not in said and "Socket errors" not in said, said
        assert int(re.search(r"(\d+) requests in", said).group(1)) > 0


def test_status_tells_what_there_is_room_for(gateway):
    def room():
        return json.loads(gateway.ctl("status").stdout)["room_of_a_worker"]

    whole = room()
    assert 0 < whole["requests"] < whole["tls_connections"] < whole["connections"] < 8192
    assert f"room       {whole['connections']} connections of clients, {whole['tls_connections']} over TLS" in gateway.output()
    with gateway.editing("appliance.yaml") as (appliance, text):
        appliance.write_text(f"{text}  http: {{maxConnections: 100}}\n")
        gateway.ctl("reload")
        assert room() == {**whole, "connections": 100, "tls_connections": 100, "tls_http2_connections": 100}
        assert not json.loads(gateway.ctl("config").stdout)["waits_for_restart"]

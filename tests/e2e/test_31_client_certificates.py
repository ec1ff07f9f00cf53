"""Servers that ask clients for certificates: who gets in, what the service is told, and what a reload or a session changes."""

import json
import subprocess

import pytest

from tests.e2e import shop
from tests.e2e.conftest import GATEWAY, HTTPS, LAB, wait_for
from tests.lab import netns

SERVERS = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: open, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: shop-cert}
      hosts: ["shop.example"]
    - port: {number: 443, name: mutual, protocol: HTTPS}
      tls: {mode: MUTUAL, credentialName: shop-cert}
      hosts: ["mutual.shop.example"]
    - port: {number: 443, name: optional, protocol: HTTPS}
      tls: {mode: OPTIONAL_MUTUAL, credentialName: shop-cert}
      hosts: ["optional.shop.example"]
    - port: {number: 443, name: named, protocol: HTTPS}
      tls: {mode: MUTUAL, credentialName: shop-cert, subjectAltNames: ["spiffe://shop/ns/a/sa/alice"]}
      hosts: ["named.shop.example"]
"""
HOSTS = ("shop.example", "mutual.shop.example", "optional.shop.example", "named.shop.example")


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class People:
    """Two CAs, and the clients they know."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        for ca in ("ca", "other"):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={ca} of people", "-keyout", self.path(ca, "key"), "-out", self.path(ca, "crt"))
        self.make("alice", "ca", "subjectAltName=URI:spiffe://shop/ns/a/sa/alice,DNS:alice.example\nextendedKeyUsage=clientAuth")
        self.make("bob", "ca", "subjectAltName=DNS:bob.example")
        self.make("server", "ca", "subjectAltName=DNS:alice.example\nextendedKeyUsage=serverAuth")
        self.make("mallory", "other", "subjectAltName=URI:spiffe://shop/ns/a/sa/alice\nextendedKeyUsage=clientAuth")

    def path(self, name, suffix):
        return str(self.directory / f"{name}.{suffix}")

    def make(self, name, ca, extensions):
        (self.directory / f"{name}.ext").write_text(extensions + "\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/O=Shop/CN={name}",
                "-keyout", self.path(name, "key"), "-out", self.path(name, "csr"))
        openssl("x509", "-req", "-in", self.path(name, "csr"), "-CA", self.path(ca, "crt"), "-CAkey", self.path(ca, "key"),
                "-CAcreateserial", "-days", "30", "-out", self.path(name, "crt"), "-extfile", self.path(name, "ext"))

    def text(self, name, suffix="crt"):
        return (self.directory / f"{name}.{suffix}").read_text()

    def fingerprint(self, name):
        said = openssl("x509", "-in", self.path(name, "crt"), "-noout", "-fingerprint", "-sha256").stdout
        return said.strip().split("=")[1].replace(":", "").lower()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return People(tmp_path_factory.mktemp("people") / "people")


@pytest.fixture(scope="module")
def shared_gateway(people, new_shared_gateway):
    who = '"peer":"%DOWNSTREAM_PEER_SUBJECT%","uri":"%DOWNSTREAM_PEER_URI_SAN%",'
    return new_shared_gateway(
        replace={
            "gateway.yaml": SERVERS,
            "routes.yaml": shop.VIRTUAL_SERVICE.replace("hosts: [shop.example]", f"hosts: [{', '.join(HOSTS)}]"),
            "mesh.yaml": lambda text: text.replace('"method"', who + '"method"'),
            "shop-cert-cacert.crt": people.text("ca"),
        },
        certificates={"shop-cert": HOSTS},
    )


@pytest.fixture
def ask(client, people, services):
    """ask(host, who, *arguments): curl's answer, without raising."""

    def run(host, who=None, *arguments, path="/checkout/headers"):
        words = ["--cert", people.path(who, "crt"), "--key", people.path(who, "key")] if who else []
        return client.curl(
            f"https://{host}:{HTTPS}{path}", "--resolve", f"{host}:{HTTPS}:{GATEWAY}", *words, *arguments, check=False
        )

    return run


def told(answer, name="x-forwarded-client-cert"):
    assert answer.returncode == 0, answer.stderr
    return [v for n, v in json.loads(answer.stdout)["headers"] if n.lower() == name]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_the_service_is_told_who_asks(gateway, people, ask, version):
    (said,) = told(ask("mutual.shop.example", "alice", version, "-H", "x-forwarded-client-cert: forged"))
    assert said.startswith(f'Hash={people.fingerprint("alice")};Cert="-----BEGIN%20CERTIFICATE-----%0A')
    assert said.endswith(';Subject="CN=alice,O=Shop";URI=spiffe://shop/ns/a/sa/alice;DNS=alice.example')
    (said,) = told(ask("mutual.shop.example", "bob", version))
    assert said.endswith(';Subject="CN=bob,O=Shop";URI=;DNS=bob.example')
    wait_for(
        lambda: any(e["peer"] == "CN=alice,O=Shop" and e["uri"] == "spiffe://shop/ns/a/sa/alice" for e in gateway.access_log()),
        "the access log names the client",
    )


@pytest.mark.parametrize("version, alerts", [
    (["--tls-max", "1.2"], {None: "handshake failure", "mallory": "unknown ca", "server": "unsupported certificate"}),
    (["--tlsv1.3"], {None: "certificate required", "mallory": "unknown ca", "server": "unsupported certificate"}),
])
def test_others_are_refused_with_the_right_alert(gateway, people, ask, version, alerts):
    before = gateway.metrics()
    for who, alert in alerts.items():
        answer = ask("mutual.shop.example", who, *version)
        assert answer.returncode != 0 and alert in answer.stderr, answer.stderr
    after = gateway.metrics()
    for name, n in (("no_cert", 1), ("error", 2)):
        name = f"envoy_listener_ssl_fail_verify_{name}"
        assert after.sum(name) - before.sum(name) == n
    for name in ("none", "untrusted", "purpose"):
        name = f"pollgate_tls_fail_client_{name}_total"
        assert after.sum(name) - before.sum(name) == 1


def test_an_optional_certificate_may_be_missing_but_not_bad(ask):
    assert told(ask("optional.shop.example")) == []
    assert told(ask("optional.shop.example", None, "-H", "x-forwarded-client-cert: forged")) == []
    assert "CN=alice" in told(ask("optional.shop.example", "alice"))[0]
    assert ask("optional.shop.example", "mallory").returncode != 0


def test_pollgatectl_shows_who_is_asked_and_whose_word_counts(gateway):
    (listener,) = json.loads(gateway.ctl("listeners").stdout)["listeners"]
    asked = {c["sni"][0]: c["client_certificates"] for c in listener["chains"]}
    assert asked["shop.example"] == "not asked for" and asked["optional.shop.example"] == "optional"
    assert asked["mutual.shop.example"] == "required"
    rows = json.loads(gateway.ctl("certs").stdout)["certificates"]
    authorities = [r for r in rows if r["state"] == "CA of clients"]
    assert {r["sni"][0] for r in authorities} == set(HOSTS) - {"shop.example"}
    assert all(r["certificate"].endswith("shop-cert-cacert.crt") and 28 <= r["days_left"] <= 30 for r in authorities)


def test_a_server_that_does_not_ask_is_told_nothing(ask):
    assert told(ask("shop.example", "alice", "-H", "x-forwarded-client-cert: forged")) == []


def test_only_names_of_the_list_get_in(gateway, ask):
    assert "CN=alice" in told(ask("named.shop.example", "alice"))[0]
    before = gateway.metrics().sum("envoy_listener_ssl_fail_verify_san")
    answer = ask("named.shop.example", "bob", "--tlsv1.3")
    assert answer.returncode != 0 and "bad certificate" in answer.stderr
    assert gateway.metrics().sum("envoy_listener_ssl_fail_verify_san") == before + 1


def s_client(gateway, host, *words):
    """One request over openssl's client; returns all it printed."""
    with netns.inside(f"{LAB}-client"):
        return subprocess.run(
            ["openssl", "s_client", "-connect", f"{GATEWAY}:{HTTPS}", "-servername", host, "-ign_eof",
             "-CAfile", gateway.config / "ca.crt", *words],
            input=f"GET /checkout/headers HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        ).stdout


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_is_no_way_around_the_rules(gateway, people, services, tmp_path, version):
    session = str(tmp_path / "session")
    alice = ["-cert", people.path("alice", "crt"), "-key", people.path("alice", "key")]
    # Of a server that asks for nothing: it opens no other one.
    assert "HTTP/1.1 200" in s_client(gateway, "shop.example", version, "-sess_out", session)
    said = s_client(gateway, "mutual.shop.example", version, "-sess_in", session)
    assert "HTTP/1.1 200" not in said
    # Of a client without a certificate, where that is allowed.
    assert "HTTP/1.1 200" in s_client(gateway, "optional.shop.example", version, "-sess_out", session)
    assert "HTTP/1.1 200" not in s_client(gateway, "mutual.shop.example", version, "-sess_in", session)
    # Of a client that may enter one, but not the other.
    bob = ["-cert", people.path("bob", "crt"), "-key", people.path("bob", "key")]
    assert "HTTP/1.1 200" in s_client(gateway, "mutual.shop.example", version, "-sess_out", session, *bob)
    assert "HTTP/1.1 200" not in s_client(gateway, "named.shop.example", version, "-sess_in", session, *bob)
    # On its own server it resumes, and the service is told of the same client.
    assert "HTTP/1.1 200" in s_client(gateway, "mutual.shop.example", version, "-sess_out", session, *alice)
    said = s_client(gateway, "mutual.shop.example", version, "-sess_in", session, *alice)
    assert "Reused, " in said and "CN=alice,O=Shop" in said


def test_a_reload_changes_whom_is_trusted(gateway, people, ask, tmp_path):
    session = str(tmp_path / "session")
    alice = ["-cert", people.path("alice", "crt"), "-key", people.path("alice", "key")]
    assert "HTTP/1.1 200" in s_client(gateway, "mutual.shop.example", "-sess_out", session, *alice)
    ca = gateway.config / "shop-cert-cacert.crt"
    try:
        ca.write_text(people.text("other"))
        gateway.ctl("reload")
        assert "CN=mallory" in told(ask("mutual.shop.example", "mallory"))[0]
        assert ask("mutual.shop.example", "alice").returncode != 0
        # Who was let in under the old CA does not come back on a ticket.
        assert "HTTP/1.1 200" not in s_client(gateway, "mutual.shop.example", "-sess_in", session, *alice)
        ca.unlink()
        answer = gateway.ctl("reload")
        assert "has no CA for clients" in answer.stdout
        assert ask("mutual.shop.example", "alice").returncode != 0
        assert told(ask("shop.example")) == []
    finally:
        ca.write_text(people.text("ca"))
        gateway.ctl("reload")
    assert "CN=alice" in told(ask("mutual.shop.example", "alice"))[0]

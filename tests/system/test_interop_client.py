"""Our client against Debian's openvpn 2.6 as the server."""
import itertools
import re

import pytest
from lab import OPENVPN, our_client, wait

WRAPS = ("none", "tls-auth", "tls-crypt", "tls-crypt-v2")
CASES = list(itertools.product(("udp", "tcp"), WRAPS, ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"),
                               ("1.2", "1.3")))
QUICK = {("udp", "none", "AES-256-GCM", "1.3"), ("udp", "tls-auth", "AES-128-GCM", "1.3"),
         ("udp", "tls-crypt", "CHACHA20-POLY1305", "1.2"), ("udp", "tls-crypt-v2", "AES-256-GCM", "1.3"),
         ("tcp", "none", "AES-256-GCM", "1.2"), ("tcp", "tls-crypt-v2", "CHACHA20-POLY1305", "1.3")}
SERVER_IP = "10.201.0.1"


def stock_server(lab, pki, transport="udp", wrap="none", cipher="AES-256-GCM", tls="1.3", more=""):
    """openvpn as the server in `srv`, with net30 addresses."""
    keys = {"none": "", "tls-auth": f"tls-auth {pki.folder}/tls-auth.key 0\nauth SHA256",
            "tls-crypt": f"tls-crypt {pki.folder}/tls-crypt.key",
            "tls-crypt-v2": f"tls-crypt-v2 {pki.folder}/tls-crypt-v2.key"}[wrap]
    config = lab.folder / "stock.conf"
    config.write_text(f"""
        server 10.201.0.0 255.255.255.0
        topology net30
        proto {"udp4" if transport == "udp" else "tcp4-server"}
        port 1194
        dev tunstock
        dev-type tun
        ca {pki.folder}/profile-ca.crt
        cert {pki.folder}/server.crt
        key {pki.folder}/server.key
        dh none
        tls-version-min {tls}
        tls-version-max {tls}
        data-ciphers {cipher}
        keepalive 2 10
        push "route 10.77.0.0 255.255.0.0"
        push "redirect-gateway def1"
        push "dhcp-option DNS 10.77.0.53"
        verb 4
        {more}
    """ + keys + "\n")
    process = lab.start(lab.srv, OPENVPN, "--config", config, name="stock-server")
    wait(lambda: process.log, lambda: "Initialization Sequence Completed" in process.log)
    return process


def profile_for(pki, transport, wrap, cipher):
    """A connection file for that server: the same certificate and keys, one remote."""
    profile = pki.profile("router-stock", "10.99.0.1", 1190, wrap, remote_only=transport)
    text = re.sub(r"(?m)^remote 10.99.0.1 1190", "remote 10.99.0.1 1194", profile.read_text())
    profile.write_text(re.sub(r"(?m)^data-ciphers .*$", f"data-ciphers {cipher}", text))
    return profile


def joined(lab, gateway):
    return lab.ping(gateway, SERVER_IP, count=1)[1] == 1


@pytest.mark.parametrize("transport, wrap, cipher, tls",
                         [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES])
def test_our_client_joins(lab, pki, transport, wrap, cipher, tls):
    server = stock_server(lab, pki, transport, wrap, cipher, tls)
    gateway = lab.gateway(1)
    client = our_client(lab, gateway, profile_for(pki, transport, wrap, cipher))
    wait(lambda: f"joined\n--- ammer\n{client.log}\n--- openvpn\n{server.log[-3000:]}", lambda: joined(lab, gateway), 20)
    assert lab.ping(gateway, SERVER_IP, count=5) == (5, 5)
    assert f"Data Channel: cipher '{cipher}'" in server.log or cipher in server.log
    # Only the address and a private route are taken over; a default route and DNS servers never.
    routes = lab.exec(gateway, "ip", "route").stdout
    assert "10.77.0.0/16" in routes
    assert "0.0.0.0/1" not in routes and "128.0.0.0/1" not in routes
    assert routes.count("default") == 1 and "default via 10.98.1.1" in routes
    assert client.stop() == 0
    assert "tun0" not in lab.exec(gateway, "ip", "link").stdout


@pytest.mark.slow
def test_our_client_comes_back_when_the_server_was_killed(lab, pki):
    server = stock_server(lab, pki)
    gateway = lab.gateway(1)
    our_client(lab, gateway, profile_for(pki, "udp", "none", "AES-256-GCM"))
    wait("joined", lambda: joined(lab, gateway), 20)
    server.kill()
    wait("the server is gone", lambda: not server.running)
    stock_server(lab, pki)
    # keepalive 2 10 is noticed after 10 s; the first retry comes within 10 s more.
    wait("joined again", lambda: joined(lab, gateway), 40)


@pytest.mark.slow
def test_no_ping_is_lost_over_renegotiations_of_the_server(lab, pki):
    server = stock_server(lab, pki, wrap="tls-crypt", more="reneg-sec 10")
    gateway = lab.gateway(1)
    client = our_client(lab, gateway, profile_for(pki, "udp", "tls-crypt", "AES-256-GCM"))
    wait("joined", lambda: joined(lab, gateway), 20)
    assert lab.ping(gateway, SERVER_IP, count=700, interval=0.05) == (700, 700), client.log
    assert server.log.count("Control Channel: TLS") >= 3


@pytest.mark.slow
def test_tcp_follows_udp_when_udp_is_blocked(lab, pki):
    server = stock_server(lab, pki, "tcp")
    gateway = lab.gateway(1)
    profile = profile_for(pki, "tcp", "none", "AES-256-GCM")
    profile.write_text("remote 10.99.0.1 1194 udp\n" + profile.read_text())
    client = our_client(lab, gateway, profile)
    wait(lambda: f"joined\n{client.log}\n{server.log[-2000:]}", lambda: joined(lab, gateway), 90)


def test_a_pushed_address_that_takes_the_gateways_own_is_refused(lab, pki):
    (lab.folder / "router-stock").write_text("ifconfig-push 10.201.0.6 10.98.1.2\n")
    stock_server(lab, pki, more=f"client-config-dir {lab.folder}")
    gateway = lab.gateway()
    client = our_client(lab, gateway, profile_for(pki, "udp", "none", "AES-256-GCM"))
    wait(lambda: client.log, lambda: "event=options-refused" in client.log)
    assert "a network of this gateway is inside it" in client.log
    assert lab.ping(gateway, "10.99.0.1", count=1)[1] == 1 and client.running

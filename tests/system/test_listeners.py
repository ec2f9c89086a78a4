"""Where the server listens and from where it answers: extra listeners, a second address, IPv6, the subnet topology."""
import ipaddress
import re

import pytest
from lab import POOLS, Pki, Server, our_client, stock_client, wait

START = {"stock": stock_client, "ours": our_client}
KINDS = pytest.mark.parametrize("kind", START)


def start(lab, pki, lines, port=1190):
    server = Server(lab, pki, ports={port: lines}).start()
    server.add("bus-1", port)
    return server


def profile_to(pki, host, port, transport, wrap="none"):
    """A connection file of port 1190 with one remote, which may be elsewhere."""
    path = pki.profile("bus-1", "10.99.0.1", 1190, wrap, remote_only="udp")
    path.write_text(path.read_text().replace("remote 10.99.0.1 1190 udp", f"remote {host} {port} {transport}"))
    return path


def join(lab, server, kind, profile):
    gateway = lab.gateway(1)
    client = START[kind](lab, gateway, profile)
    peer = server.wait_up("bus-1", client)
    wait(lambda: f"pings\n{client.log[-2000:]}", lambda: lab.ping(gateway, server.tunnel_address(1190)) == (3, 3))
    return peer, client


def listen_to(lab, expression):
    """Watches the server's link; wait until it is listening."""
    watch = lab.start(lab.srv, "tcpdump", "-n", "-l", "-i", "wan0", *expression.split(), name="tcpdump")
    wait(lambda: watch.log, lambda: "listening on" in watch.log)
    return watch


@KINDS
def test_tcp_on_port_443_of_another_address(lab, pki, kind):
    server = start(lab, pki, "wrap = none\nlisten = udp [::]:1190\nlisten = tcp 10.99.0.2:443")
    peer, _ = join(lab, server, kind, profile_to(pki, "10.99.0.2", 443, "tcp"))
    assert peer["transport"] == "tcp" and peer["port"] == 1190
    assert ipaddress.ip_address(peer["address"]) in POOLS[1190]
    code = "import socket,sys; sys.exit(socket.socket().connect_ex(('10.99.0.1', 443)) == 0)"
    assert lab.exec(lab.gateway(1), "/usr/bin/python3", "-c", code, check=False).returncode == 0, "open on the other address"


@KINDS
def test_udp_is_answered_from_the_address_that_was_asked(lab, pki, kind):
    server = start(lab, pki, "wrap = none")
    watch = listen_to(lab, "udp and port 1190")
    join(lab, server, kind, profile_to(pki, "10.99.0.2", 1190, "udp"))
    wait("both directions are seen", lambda: re.search(r"IP 10\.99\.0\.2\.1190 > 10\.98\.1\.2", watch.log))
    assert "10.99.0.1.1190" not in watch.log


@KINDS
@pytest.mark.parametrize("transport", ("udp6", "tcp6-client"))
def test_ipv6_outside(lab, pki, kind, transport):
    server = start(lab, pki, "wrap = none")
    peer, _ = join(lab, server, kind, profile_to(pki, "fd99::1", 1190, transport))
    assert "fd98:1::2" in peer["remote"] and peer["transport"] == transport[:3]


@KINDS
def test_subnet_topology(lab, pki, kind):
    server = start(lab, pki, "wrap = none\ntopology = subnet")
    peer, client = join(lab, server, kind, profile_to(pki, "10.99.0.1", 1190, "udp"))
    assert ipaddress.ip_address(peer["address"]) in POOLS[1190]
    device = lab.exec(lab.gateway(1), "ip", "-4", "addr", "show", "dev", "tun0").stdout
    assert peer["address"] in device, device
    assert "peer" not in device or kind == "ours", device
    # Another gateway of the same network is not reached for all that.
    server.add("bus-2", 1190)
    two = stock_client(lab, lab.gateway(2), pki.profile("bus-2", "10.99.0.1", 1190, "none", remote_only="udp"))
    other = server.wait_up("bus-2", two)
    assert int(ipaddress.ip_address(other["address"])) == int(ipaddress.ip_address(peer["address"])) + 1
    assert lab.ping(lab.gateway(2), server.tunnel_address(1190)) == (3, 3)
    assert lab.ping(lab.gateway(1), other["address"], count=2)[1] == 0
    assert client.running


def test_tls_crypt_v2_key_of_another_server_is_a_counted_drop(lab, pki):
    server = start(lab, pki, "wrap = none")
    other = Pki(lab.folder / "other")
    theirs = profile_to(other, "10.99.0.1", 1190, "udp", "tls-crypt-v2").read_text()
    path = profile_to(pki, "10.99.0.1", 1190, "udp", "tls-crypt-v2")
    block = re.search(r"(?s)<tls-crypt-v2>.*?</tls-crypt-v2>", theirs)[0]
    path.write_text(re.sub(r"(?s)<tls-crypt-v2>.*?</tls-crypt-v2>", block, path.read_text()))
    stock_client(lab, lab.gateway(1), path)
    wait(lambda: f"a counted drop\n{server.counters()}", lambda: server.counters().get("wkc-auth", 0) >= 2, 20)
    assert server.refused() == [], "an unauthenticated packet made a log entry"
    assert server.peer("bus-1") is None

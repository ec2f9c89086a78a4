"""Debian's openvpn 2.6 as the client of our server: every transport, wrap, cipher and TLS version."""
import itertools

import pytest
from lab import POOLS, Server, stock_client

# The wrap that a port speaks; tls-crypt-v2 goes beside any of them.
PORT_OF_WRAP = {"none": 1190, "tls-auth": 1191, "tls-crypt": 1192, "tls-crypt-v2": 1192}
CASES = list(itertools.product(("udp", "tcp"), PORT_OF_WRAP, ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"),
                               ("1.2", "1.3")))
# Each value of each dimension at least once in the quick run.
QUICK = {("udp", "none", "AES-256-GCM", "1.3"), ("udp", "tls-auth", "AES-128-GCM", "1.2"),
         ("udp", "tls-crypt", "CHACHA20-POLY1305", "1.3"), ("udp", "tls-crypt-v2", "AES-256-GCM", "1.3"),
         ("tcp", "none", "AES-128-GCM", "1.3"), ("tcp", "tls-crypt-v2", "AES-256-GCM", "1.2")}


@pytest.fixture(scope="module")
def server(module_lab, pki):
    ports = {1190: "wrap = none", 1191: "wrap = tls-auth", 1192: "wrap = tls-crypt", 1193: "wrap = none"}
    made = Server(module_lab, pki, ports=ports).start()
    for port in (1190, 1191, 1192):
        made.add(f"router-{port}", port)
    return made


@pytest.mark.parametrize("transport, wrap, cipher, tls",
                         [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES])
def test_stock_client_joins(module_lab, pki, server, transport, wrap, cipher, tls):
    port = PORT_OF_WRAP[wrap]
    name = f"router-{port}"
    profile = pki.profile(name, "10.99.0.1", port, wrap, remote_only=transport)
    gateway = module_lab.gateway(1)
    client = stock_client(module_lab, gateway, profile, "--data-ciphers", cipher, "--tls-version-min", tls,
                          "--tls-version-max", tls)
    try:
        peer = server.wait_up(name, client)
        assert peer["cipher"] == cipher and peer["transport"] == transport and peer["port"] == port
        assert peer["address"] in map(str, POOLS[port].hosts())
        assert module_lab.ping(gateway, server.tunnel_address(port)) == (3, 3), client.log
        assert f"TLSv{tls}" in client.log
    finally:
        client.stop()

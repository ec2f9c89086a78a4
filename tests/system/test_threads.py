"""The server under the thread sanitizer: joins, traffic, renewal, kicks, reloads and revocation at the same time."""
import pytest
from lab import TOP, Pki, Server, our_client, stock_client, wait

PROGRAM = TOP / "build-tsan" / "src" / "tunneld" / "amm-tunneld"


def test_no_data_race(lab, monkeypatch):
    if not PROGRAM.exists():
        pytest.skip("build-tsan is not built (./amm test builds it)")
    pki = Pki(lab.folder / "pki")
    server = Server(lab, pki, ports={1190: "wrap = none", 1191: "wrap = tls-crypt"}, settings="renegotiate-min = 1",
                    program=PROGRAM)
    server.config.write_text("ping = 1\nping-restart = 4\n" + server.config.read_text())  # silence is looked for, too
    monkeypatch.setenv("TSAN_OPTIONS", f"suppressions={TOP}/tests/tsan.supp history_size=4")
    # The sanitizer's own thread keeps a process from entering other mount namespaces, so no namespace is named.
    server.config.write_text(server.config.read_text().replace(f"namespace = {server.tunnels}", "namespace = host"))
    server.tunnels = lab.srv
    server.start()
    starts = {1: (stock_client, "udp"), 2: (our_client, "udp"), 3: (stock_client, "tcp"), 4: (our_client, "tcp")}
    clients = {}
    for n, (start, transport) in starts.items():
        server.add(f"bus-{n}", 1190)
        profile = pki.profile(f"bus-{n}", "10.99.0.1", 1190, "none", extra="reneg-sec 3", remote_only=transport)
        clients[n] = start(lab, lab.gateway(n), profile)
    for n in starts:
        server.wait_up(f"bus-{n}", clients[n], 60)
    for n in starts:
        sent, received = lab.ping(lab.gateway(n), server.tunnel_address(1190), count=60, interval=0.02, size=1200)
        assert received > 0
    server.ctl("tunnel", "counters")
    server.ctl("tunnel", "kick", "bus-1")
    server.ctl("tunnel", "reload")
    server.add("bus-5", 1190)
    pki.ctl("pki", "revoke", "bus-2")
    wait("the revoked one is cut", lambda: server.peer("bus-2") is None, 10)
    wait("the kicked one is back", lambda: server.peer("bus-1"), 60)
    assert server.process.stop(20) == 0, server.process.log[-3000:]
    assert "ThreadSanitizer" not in server.process.log, server.process.log[-6000:]

"""Under fire: a live tunnel loses less than 1 %, an honest newcomer joins, memory and log stay bounded."""
import pathlib
import re
import sys
import threading
import time

import pytest
from lab import Server, run, stock_client, wait

SECONDS = 6
# Each attack: its port, how much of it must have been done, the drops that it must cause, MiB that it may cost.
# 512 half-open handshakes are allowed, each with a TLS object.
ATTACKS = {
    "garbage": (1190, ("sent", 50_000), ("control-malformed", "data-peer-unknown", "session-unknown"), 16),
    "resets": (1190, ("sent", 50_000), (), 16),
    "half-open": (1190, ("opened", 1500), ("handshake-limit",), 48),
    "authenticated": (1191, ("opened", 50), ("session-unknown",), 32),
    "tcp": (1190, ("sent", 1000), ("tcp-frame",), 16),
}


def pss_kib(pids):
    return sum(int(re.search(r"(?m)^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text())[1]) for pid in pids)


def datagrams_read(lab):
    """UDP datagrams that the server's sockets have handed over."""
    return int(lab.exec(lab.srv, "sh", "-c", "grep ^Udp: /proc/net/snmp | tail -1").stdout.split()[1])


@pytest.fixture
def server(lab, pki):
    # Spoofed sources have no route back but away.
    run("ip", "-n", lab.router, "route", "add", "blackhole", "default")
    made = Server(lab, pki, ports={1190: "wrap = none", 1191: "wrap = tls-auth"}).start()
    for name in ("bus-1", "bus-2", "bus-3"):
        for port in (1190, 1191):
            if port == 1190 or name != "bus-3":
                made.add(f"{name}-{port}", port)
    return made


def join(lab, pki, server, n, port, transport="udp", extra=""):
    wrap = "none" if port == 1190 else "tls-auth"
    profile = pki.profile(f"bus-{n}-{port}", "10.99.0.1", port, wrap, extra=extra, remote_only=transport)
    return stock_client(lab, lab.gateway(n), profile)


def live_and_newcomer(lab, pki, server, attack, port=1190, mib=16, transport="udp"):
    """Joins one gateway, runs `attack` while it pings, and joins another in the middle."""
    gateway, address = lab.gateway(1), server.tunnel_address(port)
    live = join(lab, pki, server, 1, port, transport)
    server.wait_up(f"bus-1-{port}", live)
    wait("ping", lambda: lab.ping(gateway, address, count=1)[1])
    before, memory, log = server.peer(f"bus-1-{port}"), pss_kib(server.engine_pids()), len(server.process.log)
    counted = []
    pinging = threading.Thread(target=lambda: counted.append(lab.ping(gateway, address, count=SECONDS * 50, interval=0.02)))
    processes = attack()
    pinging.start()
    begin = time.monotonic()
    newcomer = join(lab, pki, server, 2, port, transport)
    server.wait_up(f"bus-2-{port}", newcomer, 15)
    wait("the newcomer's ping", lambda: lab.ping(lab.gateway(2), address, count=1)[1], 5)
    took = time.monotonic() - begin
    pinging.join()
    grown = pss_kib(server.engine_pids()) - memory
    sent, received = counted[0]
    for process in processes:
        process.popen.wait(SECONDS + 20)
    print(f"{sent - received} of {sent} pings lost, newcomer after {took:.1f} s, {grown} KiB more",
          [p.log for p in processes], server.counters())
    assert received >= sent * 0.99, f"{sent - received} of {sent} pings lost"
    assert server.peer(f"bus-1-{port}")["since"] == before["since"], "the live tunnel was made anew"
    assert grown < mib * 1024, "memory grew"
    assert len(server.process.log) - log < 20_000, server.process.log[-1500:]
    return processes


# What a sender without the key can do to the parser is also in what one with the key does.
@pytest.mark.parametrize("mode", [pytest.param(m, marks=pytest.mark.slow if m == "garbage" else ()) for m in ATTACKS])
def test_under_attack(lab, pki, server, mode):
    port, (word, least), drops, mib = ATTACKS[mode]
    evil, before = lab.gateway(9), datagrams_read(lab)
    run("ip", "-n", lab.router, "route", "add", "10.97.0.0/16", "via", "10.98.9.2")
    for i in range(40):
        run("ip", "-n", evil, "addr", "add", f"10.97.{i}.2/32", "dev", "wan0")

    def attack():
        return [lab.start(evil, sys.executable, pathlib.Path(__file__).parent / "attack.py", mode, "10.99.0.1", port,
                          SECONDS, pki.folder / "tls-auth.key", name="attack")]

    [process] = live_and_newcomer(lab, pki, server, attack, port, mib, "tcp" if mode == "tcp" else "udp")
    told = re.search(rf"{word} (\d+)", process.log)
    assert told and int(told[1]) >= least, process.log
    if word == "sent" and mode != "tcp":
        assert datagrams_read(lab) - before >= least, "the packets did not reach the server"
    counters = server.counters()
    assert all(counters.get(drop, 0) > 0 for drop in drops), counters


def test_renegotiation_loop_hurts_nobody(lab, pki, server):
    def attack():
        join(lab, pki, server, 3, 1190, extra="reneg-sec 1")
        return []

    live_and_newcomer(lab, pki, server, attack)
    assert server.peer("bus-3-1190") is not None

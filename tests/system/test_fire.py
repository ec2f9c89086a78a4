"""Under fire: a live tunnel loses less than 1 %, an honest newcomer joins, memory and log stay bounded."""
import pathlib
import re
import sys
import threading

import pytest
from lab import Server, stock_client, wait

ATTACKS = ("garbage", "resets", "half-open", "tcp")
SECONDS = 8


def pss_kib(pids):
    return sum(int(re.search(r"(?m)^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text())[1]) for pid in pids)


@pytest.fixture
def server(lab, pki):
    made = Server(lab, pki, ports={1190: "wrap = none"}).start()
    made.add("bus-1", 1190)
    made.add("bus-2", 1190)
    return made


def live_and_newcomer(lab, pki, server, attack):
    """Joins one gateway, runs `attack` while it pings, and joins another in the middle."""
    gateway = lab.gateway(1)
    live = stock_client(lab, gateway, pki.profile("bus-1", "10.99.0.1", 1190, "none", remote_only="udp"))
    server.wait_up("bus-1", live)
    address = server.tunnel_address(1190)
    wait("ping", lambda: lab.ping(gateway, address, count=1)[1])
    since, memory, log = server.peer("bus-1")["since"], pss_kib(server.engine_pids()), len(server.process.log)
    counted = []
    pinging = threading.Thread(target=lambda: counted.append(lab.ping(gateway, address, count=SECONDS * 50, interval=0.02)))
    processes = attack()
    pinging.start()
    newcomer = stock_client(lab, lab.gateway(2), pki.profile("bus-2", "10.99.0.1", 1190, "none", remote_only="udp"))
    server.wait_up("bus-2", newcomer, 15)
    pinging.join()
    sent, received = counted[0]
    assert received >= sent * 0.99, f"{sent - received} of {sent} pings lost"
    assert server.peer("bus-1")["since"] == since, "the live tunnel was made anew"
    for process in processes:
        process.popen.wait(SECONDS + 20)
    assert pss_kib(server.engine_pids()) - memory < 40 * 1024, "memory grew"
    assert len(server.process.log) - log < 20_000, server.process.log[-1500:]
    return processes


@pytest.mark.parametrize("mode", ATTACKS)
def test_under_attack(lab, pki, server, mode):
    evil = lab.gateway(9)

    def attack():
        return [lab.start(evil, sys.executable, pathlib.Path(__file__).parent / "attack.py", mode, "10.99.0.1", 1190,
                          SECONDS, name="attack")]

    [process] = live_and_newcomer(lab, pki, server, attack)
    told = re.search(r"(sent|opened) (\d+)", process.log)
    assert told and int(told[2]) > (100 if mode == "half-open" else 1000 if mode == "tcp" else 50_000), process.log
    assert sum(server.counters().values()) > 0


def test_renegotiation_loop_hurts_nobody(lab, pki, server):
    server.add("bus-3", 1190)

    def attack():
        profile = pki.profile("bus-3", "10.99.0.1", 1190, "none", extra="reneg-sec 1", remote_only="udp")
        stock_client(lab, lab.gateway(3), profile)
        return []

    live_and_newcomer(lab, pki, server, attack)

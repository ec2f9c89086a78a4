"""What a changed gateways file does to tunnels that are up, and where stock clients go then."""
import hashlib
import json
import os
import re
import subprocess
import threading

import pytest
from lab import BIN, Server, our_client, run, stock_client, wait


@pytest.fixture
def server(lab, pki):
    return Server(lab, pki, ports={1190: "wrap = none", 1191: "wrap = none"}).start()


def roster(server, *lines, reload=True):
    """As the manager does it: a new file in the old one's place, then the order to read it."""
    fresh = server.roster.with_suffix(".new")
    fresh.write_text("".join(line + "\n" for line in lines))
    os.replace(fresh, server.roster)
    if reload:
        server.ctl("tunnel", "reload")


def profile(pki, transport="udp", ports=(1190, 1191)):
    """One gateway's file with a remote a port."""
    path = pki.profile("bus-1", "10.99.0.1", 1190, "none", remote_only=transport)
    first, rest = path.read_text().split("\n", 1)
    assert first.startswith("remote ")
    path.write_text("".join(f"remote 10.99.0.1 {port} {transport}\n" for port in ports) + rest)
    return path


def address(server):
    peer = server.peer("bus-1")
    return peer and peer["address"]


@pytest.mark.parametrize("transport", ("udp", "tcp"))
def test_a_removed_line_cuts_and_a_new_one_lets_back(lab, pki, server, transport):
    roster(server, "bus-1 1190 1")
    client = stock_client(lab, lab.gateway(1), profile(pki, transport))
    server.wait_up("bus-1", client)
    roster(server, "other 1190 2")
    wait("cut", lambda: server.peer("bus-1") is None, 3)
    wait("refused", lambda: any(r["reason"] == "not-on-roster" for r in server.refused()), 20)
    assert client.running
    roster(server, "bus-1 1190 1")
    server.wait_up("bus-1", client, 60)


@pytest.mark.parametrize("transport", ("udp", "tcp"))
@pytest.mark.parametrize("start", (stock_client, pytest.param(our_client, marks=pytest.mark.slow)))
def test_a_moved_line_sends_the_client_to_its_next_remote(lab, pki, server, transport, start):
    roster(server, "bus-1 1190 1")
    client = start(lab, lab.gateway(1), profile(pki, transport))
    server.wait_up("bus-1", client)
    roster(server, "bus-1 1191 7")
    peer = wait(lambda: f"on the other port\n{client.log[-2500:]}\n{server.process.log[-2500:]}",
                lambda: (server.peer("bus-1") or {}).get("port") == 1191 and server.peer("bus-1"), 20)
    assert peer["address"] == "10.4.96.30" and peer["transport"] == transport
    wait("ping", lambda: lab.ping(lab.gateway(1), "10.4.96.1", count=1)[1])


def test_another_slot_is_another_address(lab, pki, server):
    roster(server, "bus-1 1190 1")
    client = stock_client(lab, lab.gateway(1), profile(pki))
    server.wait_up("bus-1", client)
    assert address(server) == "10.4.32.6"
    roster(server, "bus-1 1190 5")
    wait("the new address", lambda: address(server) == "10.4.32.22", 20)


def test_with_two_lines_both_tunnels_stay_and_the_old_one_goes_alone(lab, pki, server):
    roster(server, "bus-1 1190 1", "bus-1 1191 3")
    old = our_client(lab, lab.gateway(1), profile(pki, ports=(1190,)), device="tun0")
    server.wait_up("bus-1", old)
    new = our_client(lab, lab.gateway(1), profile(pki, ports=(1191,)), device="tun1")
    both = lambda: sorted(p["port"] for p in server.status()["peers"])
    wait(lambda: f"both\n{new.log}", lambda: both() == [1190, 1191])
    for inside in ("10.4.32.1", "10.4.96.1"):
        assert lab.ping(lab.gateway(1), inside) == (3, 3)
    roster(server, "bus-1 1191 3")
    wait("the old one is cut", lambda: both() == [1191], 3)
    assert lab.ping(lab.gateway(1), "10.4.96.1") == (3, 3)
    assert "replaced" not in server.process.log


def test_events_say_which_certificate_and_which_tunnel(lab, pki, server):
    roster(server, "bus-1 1190 1")
    watching = lab.start(lab.srv, BIN / "ammctl", "--config", server.config, "tunnel", "events", "-o", "json", name="events")
    path = profile(pki)
    client = stock_client(lab, lab.gateway(1), path)
    server.wait_up("bus-1", client)
    # The record is there when the keys are; who it is, when it has joined.
    peer = wait("it has joined", lambda: (found := server.peer("bus-1")) and found["key"] and found)
    certificate = re.search(r"(?s)<cert>(.*?)</cert>", path.read_text())[1]
    public = run("openssl", "x509", "-noout", "-pubkey", input=certificate).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.encode(), capture_output=True, check=True).stdout
    serial = run("openssl", "x509", "-noout", "-serial", input=certificate).stdout.strip().split("=")[1].lower()
    run("kill", "-9", *server.engine_pids())  # who is who outlives an engine
    wait("the engine answers", lambda: server.peer("bus-1"))
    again = server.peer("bus-1")
    for source in (peer, again):
        assert source["key"] == hashlib.sha256(der).hexdigest() and source["serial"].lstrip("0") == serial.lstrip("0")
    wait("the watcher is let go with the engine", lambda: not watching.running)
    joined = json.loads(watching.log.splitlines()[0])
    assert joined["event"] == "joined" and joined["key"] == peer["key"] and joined["peer_id"] == peer["peer_id"]
    assert again["client"] == peer["client"] != ""


def test_a_large_file_that_is_replaced_all_the_time_never_alarms(lab, pki, server):
    """8188 lines on two ports of another kind, replaced and reloaded while it is read; one tunnel is up throughout."""
    lines = [f"gw-{port}-{slot} {port} {slot}" for port in (1190, 1191) for slot in range(2, 2048)]
    roster(server, "bus-1 1190 1", *lines)
    client = stock_client(lab, lab.gateway(1), profile(pki))
    first = server.wait_up("bus-1", client)
    over = threading.Event()

    def replace():
        n = 0
        while not over.is_set():
            n += 1
            roster(server, "bus-1 1190 1", *lines[: len(lines) - n % 100], reload=False)

    replacing = threading.Thread(target=replace)
    replacing.start()
    try:
        for _ in range(20):
            assert "places on the roster" in server.ctl("tunnel", "reload").stdout + server.process.log
            assert server.status()["server"]["alarms"] == []
    finally:
        over.set()
        replacing.join()
    assert server.peer("bus-1")["peer_id"] == first["peer_id"]


def test_kick_on_one_port_leaves_the_other(lab, pki, server):
    """The control socket's KICK with a port, as the manager says it."""
    roster(server, "bus-1 1190 1", "bus-1 1191 3")
    clients = [our_client(lab, lab.gateway(1), profile(pki, ports=(port,)), device=f"tun{port}") for port in (1190, 1191)]
    peers = lambda: {p["port"]: p["peer_id"] for p in server.status()["peers"]}
    wait(lambda: clients[1].log, lambda: len(peers()) == 2)
    before = peers()
    kick = ("import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\ns.connect(sys.argv[1])\n"
            "body=(1190).to_bytes(2,'big')+bytes(4)+b'\\0\\5bus-1'\ns.send(bytes((3,3,0,len(body)))+body)\nprint(s.recv(500)[6:].decode())\n")
    assert run("/usr/bin/python3", "-c", kick, server.folder / "tunneld.sock").stdout == "1 tunnel closed\n"
    wait("back on 1190", lambda: set(peers()) == {1190, 1191} and peers()[1190] != before[1190], 20)
    assert peers()[1191] == before[1191]

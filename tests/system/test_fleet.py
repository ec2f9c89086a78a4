"""A gateway joins the fleet, as people see it: all programs, all of them real (fleet.py). One server for this file; each test
has gateways of its own."""
import ipaddress
import shutil
import textwrap
import time

import pytest
from fleet import ENGINE_UID, LAN, MANAGER_UID, Capture, FleetGateway, FleetServer, Pings, drop, story
from lab import BIN, OPENVPN, POOLS, Lab, run, wait

PING = 2  # seconds; gateways and server send a keep-alive after so much silence


@pytest.fixture(scope="module")
def fleet():
    lab = Lab()
    server = FleetServer(lab, tunneld=f"ping = {PING}\nping-restart = 20\n").start()
    server.group("buses", _60001="Enable")
    server.group("strict", _60001="Enable")
    server.group("idle")
    yield server
    lab.close()


def new_gateway(server, n, name, group="buses", port=1190, serial=None):
    serial = serial or name.upper()
    token = server.add(name, "--serial", serial, "--group", group, "--port", port)
    return FleetGateway(server.lab, n, name, token, serial=serial)


def joined(server, n, name, **more):
    gateway = new_gateway(server, n, name, **more).start()
    server.wait_up(gateway)
    return gateway


def page_opens(server, name):
    return wait(lambda: f"the page of {name} opens\n{server.story()}", lambda: server.peers(name) and server.fetch(name))


@story
def test_from_the_token_to_the_page(fleet):
    gateway = new_gateway(fleet, 1, "bus-1").start()
    address = fleet.wait_up(gateway, 1190)
    assert ipaddress.ip_address(address) in POOLS[1190] and int(ipaddress.ip_address(address)) % 4 == 2
    show = fleet.show("bus-1")
    assert show["access"] == "admitted" and show["last_checkin"] and not show["late"] and not show["clone"]
    assert show["tunnel"]["up"] and show["stats"]["ManagementTunnel-IPAddress"] == address
    assert page_opens(fleet, "bus-1") == 200
    assert "ACEmanager" in fleet.ctl("gateway", "fetch", "bus-1", "/login").stdout
    # The server's programs and its root cannot do what the proxy's user can.
    for uid in (0, MANAGER_UID, ENGINE_UID, 65534):
        assert fleet.fetch("bus-1", user=uid, timeout=1) is None, uid
    # From the WAN side: not its own address, nor those of its LAN and its tunnel.
    lab = fleet.lab
    for inner in (LAN, address):
        run("ip", "-n", lab.router, "route", "replace", inner, "via", "10.98.1.2")
    for target in ("10.98.1.2", LAN, address):
        assert lab.exec(lab.router, "curl", "-sk", "-m", "1", f"https://{target}:9443/login", check=False).returncode != 0, target
    for inner in (LAN, address):
        run("ip", "-n", lab.router, "route", "del", inner)
    # The token was used up, and is in no file that the server keeps.
    token = (gateway.folder / "label").read_text().strip()
    other = FleetGateway(lab, 2, "thief", token, serial="BUS-1").start()
    wait(other.status, lambda: other.status().get("identity", {}).get("error"))
    assert not (other.state / "gateway.crt").exists()
    other.stop()
    secret = token.split(".")[1].encode()
    assert all(secret not in path.read_bytes() for path in fleet.data.rglob("*") if path.is_file())


@story
def test_the_stat_is_there_only_while_the_tunnel_is_up(fleet):
    """Gone within 5 s of a known end, within two keep-alives and 10 s of silence; back with the tunnel."""
    kicked, disabled, cut = (joined(fleet, n, name) for n, name in ((3, "kicked"), (4, "disabled"), (5, "cut")))
    begun = time.monotonic()
    cut.cut()
    fleet.ctl("tunnel", "kick", "kicked", "--hold", "6s")
    wait("gone after the kick", lambda: fleet.stat("kicked") is None, 5)
    disabled.wait_page()
    disabled.page("60001=Disable", "then", "activate")
    wait("gone after the end", lambda: fleet.stat("disabled") is None, 5)
    wait("gone by silence", lambda: fleet.stat("cut") is None, begun + 2 * PING + 10 - time.monotonic())
    assert fleet.show("cut")["tunnel"]["up"] is False
    cut.cut(False)
    fleet.wait_up(kicked)
    fleet.wait_up(cut)
    fleet.ctl("gateway", "set", "disabled", "60001=Enable")  # newer than what was said on the page
    disabled.check_in()
    fleet.wait_up(disabled)


def history(server, name, parameter):
    """[(value, by whom, on the page?)], each of the last two minutes."""
    found = [h for h in server.read("gateway", "history", name) if h["parameter"] == parameter]
    assert all(-2 <= time.time() - h["at"] < 120 for h in found), found
    return [(h["new"], h["by"], h["local"]) for h in found]


def reported(server, name, value, parameter=1154):
    wait(lambda: f"{name} reports {value}: {server.parameters(name)[parameter]}",
         lambda: server.parameters(name)[parameter].get("reported") == value, 30)


def another_second():
    """Changes are dated in seconds."""
    now = int(time.time())
    wait("another second", lambda: int(time.time()) > now)


@story
def test_the_newest_change_wins_and_history_says_whose_it_was(fleet):
    gateway = joined(fleet, 6, "settings")
    gateway.wait_page()
    gateway.page("1154=from the page", "then", "nothing")
    reported(fleet, "settings", "from the page")
    # The server's is older, and waits for a check-in when the page is used.
    another_second()
    fleet.ctl("gateway", "set", "settings", "1154=too early")
    another_second()
    gateway.page("1154=last word", "then", "nothing")
    reported(fleet, "settings", "last word")
    wait(lambda: fleet.show("settings")["sync"], lambda: fleet.show("settings")["sync"] == "in-sync")
    assert fleet.parameters("settings")[1154]["reported"] == "last word"
    # The page's is older when the gateway comes to tell of it: noted, then overwritten.
    gateway.page("1154=overtaken", "then", "nothing")
    another_second()
    fleet.ctl("gateway", "set", "settings", "1154=the end")
    gateway.check_in()
    reported(fleet, "settings", "the end")
    told = history(fleet, "settings", 1154)
    for value, by, local in (("from the page", "user (on the gateway)", True), ("too early", "root@local", False),
                             ("overtaken", "user (on the gateway)", True), ("last word", "user (on the gateway)", True), ("the end", "root@local", False)):
        assert (value, by, local) in told, told


def is_out(server, gateway):
    return not server.peers(gateway.name) and gateway.ask("POST", "/checkin", {"v": 1, "seq": 1})[0] in (401, 403)


@story
def test_quarantine_and_release(fleet):
    gateway = joined(fleet, 7, "suspect")
    fleet.ctl("gateway", "quarantine", "suspect", "--reason", "looks odd")
    wait("out", lambda: is_out(fleet, gateway), 5)
    assert fleet.stat("suspect") is None and fleet.show("suspect")["access_reason"] == "looks odd"
    gateway.check_in()
    wait(gateway.status, lambda: gateway.status()["check-in"]["state"] == "refused", 30)
    assert "quarantine" in gateway.status()["check-in"]["error"]
    fleet.ctl("gateway", "release", "suspect")
    gateway.check_in()
    fleet.wait_up(gateway)


@story
def test_revoked_is_revoked_and_a_replacement_takes_the_place(_):
    lab = Lab()  # a server of its own: it is restored from a backup
    try:
        fleet = FleetServer(lab).start()
        fleet.group("buses", _60001="Enable")
        revoked_and_replaced(fleet)
    finally:
        lab.close()


def revoked_and_replaced(fleet):
    gateway = joined(fleet, 8, "box", port=1192, serial="OLD-BOX")
    gateway.wait_page()
    gateway.page("1154=at the gate", "then", "nothing")
    reported(fleet, "box", "at the gate")
    before, address = fleet.show("box"), fleet.stat("box")
    status, backup = fleet.api("POST", "/backup", {})
    assert status in (200, 201), backup
    fleet.ctl("gateway", "revoke", "box", "--reason", "stolen")
    wait("out", lambda: is_out(fleet, gateway), 5)
    assert fleet.stat("box") is None
    gateway.check_in()
    wait(gateway.status, lambda: gateway.status()["tunnel"]["state"] == "stopped", 30)
    # A backup from before, and a gateway that starts anew: neither brings it back.
    fleet.manager.stop()
    run("setpriv", f"--reuid={MANAGER_UID}", f"--regid={MANAGER_UID}", "--clear-groups", *restore(fleet, backup))
    fleet.start_manager()
    wait("the restored server knows", lambda: fleet.show("box")["access"] == "revoked")
    gateway.stop()
    gateway.start()
    wait(gateway.status, lambda: gateway.status().get("check-in", {}).get("state") == "refused", 30)
    assert is_out(fleet, gateway)
    # Another box in its place, in the same rack: name, port, address, settings and history stay.
    token = next(w for w in fleet.ctl("gateway", "replace", "box", "--serial", "NEW-BOX").stdout.split() if w.startswith("amm1."))
    other = FleetGateway(fleet.lab, 9, "box", token, serial="NEW-BOX").start()
    assert fleet.wait_up(other, 1192) == address
    reported(fleet, "box", "at the gate")
    after = fleet.show("box")
    assert (after["id"], after["name"], after["serial"], after["access"]) == (before["id"], "box", "NEW-BOX", "admitted")
    assert "at the gate" in [value for value, _, _ in history(fleet, "box", 1154)]
    assert len(fleet.read("gateway", "certificates", "box")) == 2
    assert gateway.ask("POST", "/checkin", {"v": 1, "seq": 1})[0] in (401, 403)
    assert not after["clone"]


def restore(server, backup):
    return [BIN / "ammd", "--config", server.config, "--restore", backup["file"]]


# Tries ADDRESS:PORT... all at once through the tunnel and prints those that answer, or refuse.
CONNECT = textwrap.dedent("""
    import resource, select, socket, sys, time
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    device, seconds, names = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    poll, open_ones = select.poll(), {}
    for name in names:
        s = socket.socket(); s.setblocking(False); s.setsockopt(1, 25, device.encode())
        address, port = name.split(":")
        s.connect_ex((address, int(port)))
        open_ones[s.fileno()] = (s, name)
        poll.register(s, select.POLLOUT)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, _ in poll.poll(100):
            poll.unregister(fd)
            s, name = open_ones[fd]
            print(name, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
""")


@story
def test_a_gateway_reaches_two_ports_of_its_own_tunnel_address(fleet):
    gateway = joined(fleet, 10, "curious", port=1191)
    lab, own = fleet.lab, str(POOLS[1191][1])
    ports = [*range(1, 1200), 2049, 3306, 5432, 6379, 8080, 8081, 8443, 9443, 9480, 9999]
    others = [str(POOLS[port][1]) for port in (1190, 1192, 1193)] + ["10.99.0.1", fleet.peers("curious")[0]["address"].replace(".6", ".10")]
    device = wait(gateway.status, lambda: gateway.status()["tunnel"]["device"])
    lab.exec(gateway.namespace, "ip", "route", "add", "10.4.0.0/16", "dev", device)
    names = [f"{own}:{port}" for port in ports] + [f"{a}:{p}" for a in others for p in (22, 80, 443, 1190, 8080, 8443, 9443, 9480)]
    answers = lab.exec(gateway.namespace, "/usr/bin/python3", "-c", CONNECT, device, 3, *names).stdout.split("\n")
    assert sorted(filter(None, answers)) == [f"{own}:80 0", f"{own}:8443 0"]


@story
def test_bytes_of_check_ins(fleet):
    """TCP payload of both directions: an idle check-in over a resumed TLS session, and a first one."""
    gateway = new_gateway(fleet, 11, "thrifty", group="idle").start()
    wait(gateway.status, lambda: gateway.status().get("check-in", {}).get("last"), 30)
    gateway.wait_page()

    def streams_of(act):
        seq = fleet.show("thrifty")["seq"]
        capture = Capture(fleet.lab, 11)
        act()
        wait(lambda: fleet.story(gateway), lambda: fleet.show("thrifty")["seq"] > seq and gateway.status()["check-in"]["state"] == "idle", 30)
        wait("the last byte", lambda: "ESTAB" not in fleet.lab.exec(gateway.namespace, "ss", "-Hnt", "dport = :8443").stdout, 20)
        return capture.end()

    streams_of(gateway.check_in)  # events of the start are told
    idle = streams_of(gateway.check_in)
    first = streams_of(lambda: (gateway.stop(), gateway.start()))
    print("idle", idle, "first", first)
    assert len(idle) == 1 and idle[0] <= 1500
    assert first[-1] <= 6000


# ---- moves between ports, and two users of one identity


def events(server, name):
    return [e["kind"] for e in server.read("gateway", "events", name)]


@story
def test_a_move_is_made_before_it_is_broken(fleet):
    gateway = joined(fleet, 31, "mover")
    pings = Pings(fleet.lab, gateway.namespace)
    for port in (1191, 1190):
        fleet.ctl("gateway", "set", "mover", f"10034={port}")
        gateway.check_in()
        address = fleet.wait_up(gateway, port, 60)
        assert ipaddress.ip_address(address) in POOLS[port]
        wait("the old tunnel has ended", lambda: len(fleet.peers("mover")) == 1, 30)
    sent, lost, outage = pings.end()
    print(f"{lost} of {sent} pings lost, longest outage {outage:.2f} s")
    assert outage <= 3 and lost <= sent * 0.1
    show = fleet.show("mover")
    assert show["access"] == "admitted" and not show["clone"]  # two tunnels at once, by order
    # Each of the two moves is told by both sides.
    wait(lambda: events(fleet, "mover"), lambda: events(fleet, "mover").count("tunnel-moved") == 4, 30)


@pytest.mark.slow
@story
def test_a_move_to_a_blocked_port_comes_back(fleet):
    lab = fleet.lab
    gateway = joined(fleet, 32, "blocked")
    drop(lab, "blocked", "meta l4proto { tcp, udp } th dport 1192 drop")
    pings = Pings(lab, gateway.namespace)
    since = fleet.peers("blocked")[0]["since"]
    fleet.ctl("gateway", "set", "blocked", "10034=1192")
    gateway.check_in()
    wait(gateway.status, lambda: gateway.status()["tunnel"]["moving"], 20)
    wait(lambda: fleet.show("blocked"), lambda: "tunnel-not-moved" in events(fleet, "blocked"), 80)
    wait(lambda: fleet.parameters("blocked")[10034], lambda: fleet.parameters("blocked")[10034]["desired"]["value"] == 1190, 30)
    sent, lost, outage = pings.end()
    assert outage <= 1 and fleet.peers("blocked")[0]["since"] == since and len(fleet.peers("blocked")) == 1
    told = [e["text"] for e in fleet.read("gateway", "events", "blocked") if e["kind"] == "tunnel-not-moved"]
    assert "1190 to 1192" in told[0], told
    status = gateway.status()["tunnel"]
    assert status["port"] == 1190 and status["state"] == "up" and not status["moving"]
    drop(lab, "blocked", "", False)


@story
def test_a_stock_router_is_sent_to_its_new_port(fleet):
    fleet.ctl("gateway", "add", "kiosk", "--kind", "openvpn", "--group", "buses", "--port", "1193")
    profile = fleet.lab.folder / "kiosk.ovpn"
    fleet.ctl("gateway", "profile", "kiosk", "--remote", "10.99.0.1", "--output", profile)
    client = fleet.lab.start(fleet.lab.gateway(33), OPENVPN, "--config", profile, "--dev", "tun0", name="openvpn")
    wait(lambda: client.log, lambda: fleet.is_up("kiosk", 1193), 40)
    fleet.ctl("gateway", "set", "kiosk", "10034=1191")
    address = wait(lambda: f"{client.log[-3000:]}\n{fleet.story()}", lambda: fleet.is_up("kiosk", 1191), 60)
    assert ipaddress.ip_address(address) in POOLS[1191] and client.running
    assert fleet.lab.ping(fleet.lab.gateway(33), str(POOLS[1191][1])) == (3, 3)


@pytest.mark.slow
@story
def test_two_users_of_one_identity_are_noticed(fleet):
    """The folder of a gateway, copied to another one that runs beside it."""
    lab = fleet.lab
    groups = {g["name"]: g["id"] for g in fleet.api("GET", "/groups")[1]["items"]}
    assert fleet.api("PUT", f"/groups/{groups['strict']}/clone-policy", {"policy": "quarantine"})[0] in (200, 204)
    pairs = []
    for n, (name, group) in enumerate((("flagged", "buses"), ("locked", "strict"))):
        gateway = joined(fleet, 40 + n, name, group=group)
        copy = FleetGateway(lab, 50 + n, name, serial=name.upper())
        shutil.copytree(gateway.state, copy.state)
        copy.start()
        copy.wait_page()
        pairs.append((gateway, copy))
    for _ in range(3):
        for gateway in sum(pairs, ()):
            if fleet.show(gateway.name)["clone"]:
                continue  # noticed; the locked one is refused from now on, and nothing changes any more
            before = gateway.status()["check-in"]
            gateway.check_in()
            wait("a check-in, or its refusal", lambda: (now := gateway.status()["check-in"])["state"] != "trying" and
                 any(now[what] != before[what] for what in ("seq", "last", "error")), 20)
    assert fleet.show("flagged")["clone"] and fleet.show("flagged")["access"] == "admitted"
    assert fleet.show("locked")["access"] == "quarantined", fleet.show("locked")
    wait("no tunnel for either", lambda: not fleet.peers("locked"), 5)
    text = next(e["text"] for e in fleet.read("gateway", "events", "locked") if e["kind"] == "quarantined")
    assert "check-in" in text
    for gateway, copy in pairs:
        copy.stop()
    fleet.ctl("gateway", "release", "locked")
    pairs[1][0].check_in()
    fleet.wait_up(pairs[1][0])

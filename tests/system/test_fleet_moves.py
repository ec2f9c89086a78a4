"""Moves between tunnel ports, and two users of one identity: each story has gateways of its own on one server."""
import ipaddress
import shutil

import pytest
from fleet import FleetGateway, FleetServer, Pings, story
from lab import OPENVPN, POOLS, Lab, run, wait


@pytest.fixture(scope="module")
def fleet():
    lab = Lab()
    server = FleetServer(lab, tunneld="ping = 2\nping-restart = 20\n").start()
    server.group("buses", _60001="Enable")
    server.group("strict", _60001="Enable")
    yield server
    lab.close()


def joined(server, n, name, group="buses", port=1190):
    token = server.add(name, "--serial", name.upper(), "--group", group, "--port", port)
    gateway = FleetGateway(server.lab, n, name, token).start()
    server.wait_up(gateway, port)
    return gateway


def events(server, name):
    return [e["kind"] for e in server.read("gateway", "events", name)]


@story
def test_a_move_is_made_before_it_is_broken(fleet):
    gateway = joined(fleet, 1, "mover")
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
    gateway = joined(fleet, 2, "blocked")
    lab.nft("""
        table ip blocked {
          chain forward { type filter hook forward priority 0; policy accept;
            meta l4proto { tcp, udp } th dport 1192 drop
          }
        }
    """)
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
    lab.nft("")


@story
def test_a_stock_router_is_sent_to_its_new_port(fleet):
    fleet.ctl("gateway", "add", "kiosk", "--kind", "openvpn", "--group", "buses", "--port", "1193")
    profile = fleet.lab.folder / "kiosk.ovpn"
    fleet.ctl("gateway", "profile", "kiosk", "--remote", "10.99.0.1", "--output", profile)
    client = fleet.lab.start(fleet.lab.gateway(3), OPENVPN, "--config", profile, "--dev", "tun0", name="openvpn")
    wait(lambda: client.log, lambda: fleet.is_up("kiosk", 1193), 40)
    fleet.ctl("gateway", "set", "kiosk", "10034=1191")
    address = wait(lambda: f"{client.log[-3000:]}\n{fleet.story()}", lambda: fleet.is_up("kiosk", 1191), 60)
    assert ipaddress.ip_address(address) in POOLS[1191] and client.running
    assert fleet.lab.ping(fleet.lab.gateway(3), str(POOLS[1191][1])) == (3, 3)


@story
def test_two_users_of_one_identity_are_noticed(fleet):
    """The folder of a gateway, copied to another one that runs beside it."""
    lab = fleet.lab
    groups = {g["name"]: g["id"] for g in fleet.api("GET", "/groups")[1]["items"]}
    assert fleet.api("PUT", f"/groups/{groups['strict']}/clone-policy", {"policy": "quarantine"})[0] in (200, 204)
    pairs = []
    for n, (name, group) in enumerate((("flagged", "buses"), ("locked", "strict"))):
        gateway = joined(fleet, 10 + n, name, group)
        copy = FleetGateway(lab, 20 + n, name, serial=name.upper())
        shutil.copytree(gateway.state, copy.state)
        copy.start()
        copy.wait_page()
        pairs.append((gateway, copy))
    for _ in range(3):
        if all(fleet.show(name)["clone"] for name in ("flagged", "locked")):
            break
        for gateway in sum(pairs, ()):
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

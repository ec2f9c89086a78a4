"""Gateways whose clock is wrong when they are switched on: with NTP and without. And a server that lies about the time."""
import time

import pytest
from fake_manager import Manager, Pki, token
from fleet import FleetGateway, FleetServer, in_namespace, ntp_server, story
from lab import Lab, wait

# Days around which clocks break: zero, signed and unsigned seconds of 32 bits, GPS weeks, a release long gone, tomorrow.
CLOCKS = ("1970-01-01", "1980-01-06", "1999-08-22", "2000-01-01", "2019-04-07", "2024-02-29", "2026-10-31", "2037-12-31", "2038-01-20",
          "2069-12-31", "2100-03-01", "2106-02-08")
QUICK = {("1970-01-01", False), ("2106-02-08", False), ("1970-01-01", True)}


@pytest.fixture(scope="module")
def fleet():
    lab = Lab()
    server = FleetServer(lab).start()
    server.group("buses", _60001="Enable")
    ntp_server(lab)
    yield server
    lab.close()


def clock_story(number, clock, has_ntp):
    def told(fleet):
        name = f"bus-{clock}-{'ntp' if has_ntp else 'none'}"
        label = fleet.add(name, "--serial", name.upper(), "--group", "buses")
        gateway = FleetGateway(fleet.lab, number, name, None if has_ntp else label)
        gateway.start(clock=clock)
        gateway.wait_page()
        begun = time.monotonic()
        if has_ntp:
            gateway.page("60005=10.99.0.1", f"60009={label}", "then", "nothing")
        fleet.wait_up(gateway, seconds=30 + begun - time.monotonic())  # DESIGN: in its tunnel within 30 s
        state = gateway.status()["clock"]
        assert state["trusted"] and state["source"] in (("ntp", "server") if has_ntp else ("server",)), state
        assert abs(state["time"] - time.time()) < 10
        show = fleet.show(name)
        assert show["clock_skew"] is None or abs(show["clock_skew"]) < 10
        events = fleet.read("gateway", "events", name)
        boot = next(e for e in events if e["kind"] == "boot")
        assert abs(boot["at"] - time.time()) < 300, boot  # put right afterwards
        gateway.stop()

    told.__name__ = f"test_in_the_tunnel_from_{clock.replace('-', '_')}_{'with_ntp' if has_ntp else 'without'}"
    test = story(told)
    return test if (clock, has_ntp) in QUICK else pytest.mark.slow(test)


for i, one in enumerate((clock, has_ntp) for clock in CLOCKS for has_ntp in (False, True)):
    made = clock_story(i + 1, *one)
    globals()[made.__name__] = made


@story
def test_a_liar_sets_no_clock(fleet):
    """A server with the right keys for HTTPS, in the place of the real one, that signs the time wrongly."""
    lab = fleet.lab
    keys = Pki(lab.folder / "liars")
    gateways, namespace = [], lab.gateway(100)
    for n, lie in enumerate(("key", "old-nonce", "changed", "below")):
        liar = in_namespace(namespace, lambda: Manager(keys, address="0.0.0.0"))
        liar.forge = lie
        if lie == "below":
            liar.time = lambda: 1700000000
        gateway = FleetGateway(lab, 101 + n, f"lied-to-{n}", token(keys), server=f"https://10.98.100.2:{liar.port}")
        gateways.append((lie, liar, gateway.start(clock="1970-01-01")))
    for lie, liar, gateway in gateways:
        wait(lambda: f"{lie}: {gateway.process.log}", lambda: "time-refused" in gateway.process.log, 30)
        state = gateway.status()
        assert not state["clock"]["trusted"] and state["clock"]["time"] < 1000000, (lie, state)
        assert state["tunnel"]["state"] != "up" and not (gateway.state / "gateway.crt").exists()
        assert "simpleenroll" not in liar.paths()  # and no token was given away
        gateway.stop()
        liar.close()

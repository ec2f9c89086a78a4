"""What a newcomer does with his first gateway, in a browser: enable the tunnel on its own page, on another port, and
see it on the server; then the other way."""
import ipaddress

import pytest
from fleet import LAN, FleetGateway, FleetServer
from lab import POOLS, Lab, wait


@pytest.fixture
def fleet():
    lab = Lab()
    server = FleetServer(lab).start()
    server.group("by-hand")
    yield server
    lab.close()


def test_enable_apply_reboot_and_back(fleet, browser):
    token = fleet.add("pump-1", "--serial", "P1", "--group", "by-hand")
    gateway = FleetGateway(fleet.lab, 1, "pump-1", token, serial="P1").start()
    gateway.wait_page()
    wait(lambda: f"it checks in\n{fleet.story(gateway)}", lambda: fleet.show("pump-1")["last_checkin"], 40)
    assert fleet.stat("pump-1") is None
    label = (gateway.state / "page-label").read_text()
    password = next(line.split(": ")[1] for line in label.splitlines() if line.startswith("password: "))

    def press(*words):
        """Logs in, Services > MSCI, fills in, Apply, Reboot; waits until Status says the last word."""
        return fleet.lab.exec(gateway.namespace, "node", browser / "gateway.mjs", f"https://{LAN}:9443", password, *words,
                              timeout=200).stdout

    assert "1192" in press("enable", "1192", "reboot", "Up")
    address = fleet.wait_up(gateway, 1192)
    assert ipaddress.ip_address(address) in POOLS[1192]
    assert fleet.stat("pump-1") == address

    press("disable", "reboot", "Disabled")
    wait("the stat is gone", lambda: fleet.stat("pump-1") is None, 10)
    parameters = fleet.parameters("pump-1")
    wait("the server knows", lambda: fleet.parameters("pump-1")[60001]["reported"] == "Disable", 30)
    assert parameters[10034]["reported"] == 1192

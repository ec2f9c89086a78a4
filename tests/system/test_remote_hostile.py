"""Gateways whose pages attack the operator: the console beside them, each other, the door (threats 58 to 63).

One browser is logged in to the console and has the pages of two hostile gateways open; what the attacks came to is told
by the pages, by what the gateways saw, and by a second browser that got a copied link."""
import json
import sys

import pytest
from fleet import FleetServer
from lab import TOP, Lab
from test_remote_foreign import Router

CONSOLE = "http://localhost:8080"


@pytest.fixture(scope="module")
def seen(browser):
    lab = Lab()
    fleet = FleetServer(lab, tunneld="remote-ports = 8080", manager="console = 127.0.0.1:8080").start()
    fleet.start_proxyd()
    fleet.group("routers")
    password = "a long enough secret 7"
    status, user = fleet.api("POST", "/users", {"name": "dispatch", "password": password})
    assert status == 201, user
    status, answer = fleet.api("POST", f"/users/{user['id']}/roles", {"role": "operator"})
    assert status in (200, 201), answer
    routers = [Router(fleet, 21, "first", "http", 8080), Router(fleet, 22, "second", "http", 8080)]
    for router in routers:
        router.serve(sys.executable, TOP / "tests" / "system" / "hostile_page.py", 8080, router.name, CONSOLE, port=8080)
    sessions = [router.open() for router in routers]
    for router, (other, _, _) in zip(routers, reversed(sessions)):
        lab.exec(router.namespace, "curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:8080/other?{other}")
    words = [word for session in sessions for word in session]
    done = lab.exec(lab.srv, "node", browser / "hostile.mjs", CONSOLE, "dispatch", password, *words, check=False, timeout=150)
    assert done.returncode == 0, f"{done.stderr}\n{fleet.story()}\n" + "\n".join(r.process.log[-3000:] for r in routers)
    found = json.loads(done.stdout)
    found["requests"] = [[json.loads(line) for line in router.process.log.splitlines() if line.startswith("{")] for router in routers]
    found["hosts"] = [base.split("//")[1].split(":")[0] for base, _, _ in sessions]
    yield found
    lab.close()


def test_no_attack_comes_to_anything(seen):
    report = seen["report"]
    for attack in ("opener", "read the console", "log out by header", "frame the console", "frame the other", "read the other",
                   "socket to the console", "socket to the other", "service worker"):
        assert report[attack].startswith("blocked"), (attack, report)
    assert seen["me"] == 200, "the operator is still logged in"
    assert seen["dialogs"] == []
    assert all("/post" != request["path"] for request in seen["requests"][1]), "nothing of the first page reached the second gateway"


def test_nothing_goes_elsewhere(seen):
    assert seen["elsewhere"] == []


def test_cookies_stay_where_they_are(seen):
    mine, other = seen["hosts"]
    for cookie in seen["cookies"]:  # with a dot in front: what a script gave to its own name
        assert cookie["domain"] in ("localhost", mine, other, "." + mine, "." + other), cookie
        assert not cookie["domain"].startswith(".") or cookie["name"] == "tossed", cookie
    names = {(cookie["domain"], cookie["name"]): cookie for cookie in seen["cookies"]}
    assert names[(mine, "same")]["value"] != names[(other, "same")]["value"]
    assert names[("localhost", "amm")]["httpOnly"]
    assert names[(other, "amm-remote")]["httpOnly"] and names[(other, "amm-remote")]["value"] != "evil"
    assert seen["again"] == 200, "the door still knows the operator"
    for number, requests in enumerate(seen["requests"]):
        for request in requests:
            cookies = request["headers"].get("cookie", "")
            assert "amm-remote" not in cookies and "amm=" not in cookies, request
            assert ("second-22", "first-21")[number] not in cookies, request


def test_headers_that_reach_further_are_gone(seen):
    for name in ("strict-transport-security", "clear-site-data", "alt-svc", "service-worker-allowed", "access-control-allow-origin",
                 "access-control-allow-credentials", "report-to", "nel"):
        assert name not in seen["headers"], seen["headers"]
    assert "frame-ancestors 'none'" in seen["headers"]["content-security-policy"] or "frame-ancestors 'self'" in seen["headers"]["content-security-policy"]


def test_a_copied_link_opens_nothing(seen):
    assert seen["leaked"]["status"] == 403
    assert len(seen["leaked"]["text"]) > 40, "it says what to do"
    assert seen["used"] == 403

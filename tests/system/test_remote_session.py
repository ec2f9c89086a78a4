"""Operators come through the tunnel (doc/gateway-protocol.md, sections 7 and 8): the real server and gateway, and a
proxy of a few lines that signs with a key of the test.

    [amm] proxy ══ tunnel ══ amm0 [gw1] lan0 192.168.13.31 ── [lan] 192.168.13.100:80"""
import base64
import json
import os
import re
import signal
import sys
import textwrap
import time

import pytest
from fleet import LAN, FleetGateway, FleetServer
from lab import PROXY_UID, Lab, run, wait

HOST = "192.168.13.100"
LABEL = "abcdefghijklmnopqrstuvwx27"

# A request for the relay, and what comes back on its connection: GET / of the host behind it.
RELAY = textwrap.dedent("""
    import socket, sys
    address, assertion = sys.argv[1:]
    s = socket.create_connection((address, 9444), 10)
    s.settimeout(15)
    s.sendall(("GET /relay HTTP/1.1\\r\\nHost: %s:9444\\r\\nConnection: Upgrade\\r\\nUpgrade: amm-relay\\r\\n"
               "AMM-Assertion: %s\\r\\n\\r\\n" % (address, assertion)).encode())
    answer = b""
    while b"\\r\\n\\r\\n" not in answer:
        answer += s.recv(4096)
    if answer.startswith(b"HTTP/1.1 101 "):
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    while more := s.recv(65536):
        answer += more
    sys.stdout.write(answer.decode())
""")


class Key:
    """Ed25519, as amm-proxyd has one."""

    def __init__(self, folder):
        self.path = folder / "assertion.key"
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path)
        der = folder / "assertion.der"
        run("openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER", "-out", der)
        self.public = der.read_bytes()[-32:]

    def sign(self, text):
        part, out = self.path.with_name("text"), self.path.with_name("signature")
        part.write_bytes(text)
        run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", part, "-out", out)
        return out.read_bytes()

    def assertion(self, serial, epoch, name="Maria Schmidt", role="user", label=LABEL, target=None, age=0):
        def coded(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        now = int(time.time()) - age
        lines = ["amm-relay-1" if target else "amm-assertion-1", serial, epoch, name, role, "198.51.100.7", label,
                 str(now), str(now + 30), os.urandom(16).hex()] + ([target] if target else [])
        text = "\n".join(lines).encode()
        return coded(text) + "." + coded(self.sign(text))


class World:
    def __init__(self, lab):
        self.lab = lab
        self.server = FleetServer(lab).start()
        self.server.group("buses", _60001="Enable")
        self.gateway = FleetGateway(lab, 1, "bus-1", self.server.add("bus-1", "--group", "buses"))
        self.key = Key(lab.folder)
        self.gateway.state.mkdir(mode=0o700)
        (self.gateway.state / "remote-access.pub").write_text(self.key.public.hex() + "\n")
        self.gateway.start()
        self.server.wait_up(self.gateway)
        wait("the page opens in the tunnel", lambda: self.server.fetch("bus-1") == 200)
        lan = lab.namespace("lan")
        run("ip", "-n", self.gateway.namespace, "link", "set", "lan0-plug", "netns", lan)
        run("ip", "-n", lan, "addr", "add", f"{HOST}/24", "dev", "lan0-plug")
        run("ip", "-n", lan, "link", "set", "lan0-plug", "up")
        folder = lab.folder / "www"
        folder.mkdir()
        (folder / "index.html").write_text("the counter of the bus")
        web = lab.start(lan, sys.executable, "-u", "-m", "http.server", "80", "--bind", HOST, "--directory", folder, name="host")
        wait(lambda: f"the host serves\n{web.log}", lambda: "Serving" in web.log)

    def peer(self):
        return self.server.peers("bus-1")[0]

    def as_proxy(self, *argv):
        return run("ip", "netns", "exec", self.server.tunnels, "setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}",
                   "--clear-groups", *argv, check=False)

    def curl(self, path, *more, address=None, where=None):
        """(status, head and body)"""
        address = address or self.peer()["address"]
        argv = ("curl", "-sk", "-m", "10", "-i", "-w", "\n%{http_code}", f"https://{address}:9443{path}", *more)
        done = self.lab.exec(where, *argv, check=False) if where else self.as_proxy(*argv)
        text, _, status = done.stdout.rpartition("\n")
        return int(status or 0), text

    def assertion(self, **more):
        return self.key.assertion(**{"serial": "BUS-1", "epoch": self.peer()["epoch"]} | more)

    def send(self, assertion, **more):
        return self.curl("/remote-session", "-X", "POST", "-H", f"AMM-Assertion: {assertion}", **more)

    def refusal(self, assertion, **more):
        status, text = self.send(assertion, **more)
        assert status == 403 and "Set-Cookie" not in text, text
        return json.loads(text[text.index("{"):])["error"]

    def sign_in(self, **more):
        """The cookie, as a field."""
        status, text = self.send(self.assertion(**more))
        assert status == 204, f"{text}\n{self.gateway.process.log[-2000:]}"
        return "Cookie: " + re.search("^set-cookie: ([^;]+);", text, re.M | re.I)[1]

    def look(self, cookie, path="/status"):
        return self.curl(path, "-H", cookie)

    def is_over(self, cookie):
        status, text = self.look(cookie)
        return status == 401 and "AMM-Remote-Session: ended" in text

    def post(self, cookie, path, page, address, **fields):
        fields["csrf"] = re.search('name="csrf" value="([^"]*)"', page)[1]
        parts = [part for name, value in fields.items() for part in ("--data-urlencode", f"{name}={value}")]
        where = self.gateway.namespace if address == LAN else None
        return self.curl(path, "-H", cookie, "-H", f"Origin: https://{address}:9443", *parts, address=address, where=where)

    def local(self):
        """(cookie, a page) of somebody who has logged in on the LAN with the label's password."""
        where = self.gateway.namespace
        _, page = self.curl("/login", address=LAN, where=where)
        before = "Cookie: " + re.search("^set-cookie: ([^;]+);", page, re.M | re.I)[1]
        password = re.search("^password: (.*)$", (self.gateway.state / "page-label").read_text(), re.M)[1]
        _, done = self.post(before, "/login", page, LAN, account="user", password=password)
        cookie = "Cookie: " + re.search("^set-cookie: ([^;]+);", done, re.M | re.I)[1]
        return cookie, self.curl("/security", "-H", cookie, address=LAN, where=where)[1]

    def allow(self, targets):
        cookie, page = self.local()
        status, text = self.post(cookie, "/security", page, LAN, p60012=targets)
        assert status == 303, text

    def relay(self, target, **more):
        done = self.as_proxy(sys.executable, "-c", RELAY, self.peer()["address"], self.assertion(target=target, **more))
        return done.stdout or done.stderr


@pytest.fixture(scope="module")
def world():
    lab = Lab()
    yield World(lab)
    lab.close()


def test_the_tunnel_has_an_epoch(world):
    assert re.fullmatch("[0-9a-f]{16}", world.peer()["epoch"])


def test_an_operator_is_signed_in(world):
    cookie = world.sign_in()
    status, page = world.look(cookie)
    assert status == 200 and "Maria Schmidt, user" in page and "198.51.100.7" in page
    status, text = world.post(cookie, "/services/msci", page, world.peer()["address"], p1154="Bus one")
    assert status == 303, text
    wait("the server knows the change", lambda: world.server.parameters("bus-1")[1154]["reported"] == "Bus one")


def test_a_viewer_only_looks(world):
    cookie = world.sign_in(role="viewer", label="v" * 26)
    _, page = world.look(cookie)
    assert world.post(cookie, "/services/msci", page, world.peer()["address"], p1154="Bus two")[0] == 403


def test_refusals(world):
    assertion = world.assertion()
    assert world.refusal(assertion, address=LAN, where=world.gateway.namespace) == "not-in-tunnel"
    assert world.curl("/login", address="10.98.1.2", where=world.lab.router)[0] == 0  # nothing listens on the WAN side
    assert world.send(assertion)[0] == 204
    assert world.refusal(assertion) == "replayed"
    assert world.refusal(world.assertion(serial="BUS-2")) == "other-serial"
    assert world.refusal(world.assertion(epoch="0123456789abcdef")) == "old-epoch"
    assert world.refusal(world.assertion(age=60)) == "expired"
    assert world.refusal(world.assertion(age=-60)) == "not-yet"
    assert world.refusal(world.assertion()[:-4] + "AAAA") in ("bad-signature", "malformed")
    assert world.refusal("nonsense") == "malformed"


def test_somebody_at_the_gateway_ends_it(world):
    cookie = world.sign_in(name="Otto", label="o" * 26)
    local, _ = world.local()
    _, page = world.curl("/status", "-H", local, address=LAN, where=world.gateway.namespace)
    assert "Otto is on this page from 198.51.100.7, through the server" in page
    status, text = world.post(local, "/visitors/end", page, LAN, what="o" * 26)
    assert status == 303, text
    assert world.is_over(cookie)
    assert world.refusal(world.assertion(label="o" * 26)) == "ended"

    def events():
        return [e for e in world.server.api("GET", "/events?kind=remote-session-ended")[1]["items"] if "Otto" in e["text"]]

    event = wait(lambda: f"the server knows\n{world.gateway.process.log[-1500:]}", events)[0]
    assert event["data"] == {"label": "o" * 26, "operator": "Otto"}


def test_the_relay_reaches_what_both_ends_name(world):
    assert "refused" in world.relay(f"{HOST}:80").lower()  # no list: nothing listens
    world.allow(f"{HOST}:80, 10.99.0.1:8443, {LAN}:9443, gateway:9443")
    wait("the relay listens", lambda: "relay-open" in world.gateway.process.log)
    assert "the counter of the bus" in world.relay(f"{HOST}:80")
    assert "not-allowed" in world.relay(f"{HOST}:81")
    assert "not-on-lan" in world.relay("10.99.0.1:8443")  # the WAN side, though listed
    assert "not-on-lan" in world.relay(f"{LAN}:9443")     # its own address has another name
    assert world.relay("gateway:9443").startswith("HTTP/1.1 101 ")  # and its HTTPS page has no word for plain bytes
    assert "other-serial" in world.relay(f"{HOST}:80", serial="BUS-2")
    assert "old-epoch" in world.relay(f"{HOST}:80", epoch="0123456789abcdef")
    log = json.loads((world.gateway.state / "page-visits").read_text())
    visit = next(v for v in log if v["target"] == f"{HOST}:80")
    assert visit["name"] == "Maria Schmidt" and visit["from"] == "198.51.100.7" and visit["out"] > 20
    world.allow("")
    wait("the relay is closed", lambda: "relay-closed" in world.gateway.process.log)


def test_targets_are_set_on_the_lan_only(world):
    cookie = world.sign_in()
    _, page = world.look(cookie, "/security")
    status, text = world.post(cookie, "/security", page, world.peer()["address"], p60012=f"{HOST}:22")
    assert status == 422 and "from its LAN only" in text
    done = world.server.ctl("gateway", "set", "bus-1", f"60012={HOST}:22", check=False)
    assert done.returncode != 0 and "own page only" in done.stderr


def test_a_restarted_engine_keeps_the_epoch_and_a_new_tunnel_has_another(world):
    cookie, epoch = world.sign_in(), world.peer()["epoch"]
    engine = int(run("pgrep", "-P", world.server.tunneld.popen.pid, "-x", "amm-tunneld").stdout.split()[0])
    os.kill(engine, signal.SIGKILL)
    wait("the engine is back", lambda: world.server.ctl("tunnel", "status", check=False).returncode == 0 and
         world.server.peers("bus-1"))
    assert world.peer()["epoch"] == epoch
    assert world.look(cookie)[0] == 200
    wait("the new engine takes orders", lambda: world.server.ctl("tunnel", "kick", "bus-1", check=False).returncode == 0)
    wait("another tunnel", lambda: world.server.is_up("bus-1") and world.peer()["epoch"] != epoch, 40)
    wait("the page is open", lambda: world.server.fetch("bus-1") == 200)  # where the gateway has seen the tunnel down
    assert world.refusal(world.assertion(epoch=epoch)) == "old-epoch"
    again = world.sign_in()  # at once: the gateway asks which tunnel it has
    assert world.is_over(cookie)
    assert world.look(again)[0] == 200

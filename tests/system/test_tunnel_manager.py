"""ammd and amm-tunneld together: who may join where, who is up, moves between ports, and what happens without one of
the two. Clients are Debian's openvpn and ammer."""
import http.client
import json
import re
import signal

import pytest
from enrolling import Gateway, Manager, talk
from lab import BIN, Server, our_client, run, stock_client, wait

MANAGER_UID = 61192
PORTS = (1190, 1191, 1192, 1193)


class Pair:
    """amm-cad, ammd and amm-tunneld on one configuration; the tunnel server in the lab's server namespace."""

    def __init__(self, lab, folder, settings="ping = 1\nping-restart = 4\n", ports=None):
        self.lab = lab
        folder.chmod(0o755)
        for parent in folder.parents:
            if str(parent).startswith("/tmp/pytest"):
                parent.chmod(0o755)
        (folder / "tunnel").mkdir()
        tunneld = f"namespace = {lab.id}-amm\nuser = 61190\nproxy-user = 61191\nmanager-user = {MANAGER_UID}\nworkers = 2\nhandshake-threads = 1\n"
        tunneld += settings + "".join(f"[port {port}]\n{(ports or {}).get(port, 'wrap = none')}\n" for port in PORTS)
        self.manager = Manager(folder, tunneld=tunneld)
        self.manager.config.write_text(self.manager.config.read_text().replace("[manager]\nuser = root", f"[manager]\nuser = {MANAGER_UID}"))
        run("chown", "-R", f"{MANAGER_UID}:{MANAGER_UID}", folder / "tunnel", folder)
        run("chmod", "-R", "o+rX", folder / "pki")
        self.server = Server(lab, self.manager.cad)
        self.server.folder, self.server.config, self.server.roster = folder, self.manager.config, folder / "tunnel" / "gateways.conf"
        self.manager.cad.folder = folder

    def start(self):
        self.manager.start()
        wait("the revocation list is there", lambda: self.manager.crl.exists())
        self.server.start()
        wait(lambda: f"ammd hears the tunnel server\n{self.log}", lambda: self.ask("GET", "/tunnel")["known"])
        return self

    @property
    def log(self):
        return (self.manager.folder / "ammd.log").read_text()[-3000:]

    def ask(self, method, path, body=None, status=(200, 201, 204)):
        answer = self.manager.api(method, path, body)
        assert answer.status in status, answer
        return answer.json if answer.body.startswith(b"{") else answer.body.decode()

    def router(self, name, **more):
        """A router with an OpenVPN client: its id, and its connection file."""
        made = self.ask("POST", "/gateways", {"name": name, "kind": "openvpn", "tenant": "1", **more})
        return made["id"], self.file(made["id"], name)

    def file(self, gateway, name, transport="udp"):
        text = self.ask("POST", f"/gateways/{gateway}/connection-file", {"remotes": ["10.99.0.1"]})
        text = text["file"] if isinstance(text, dict) else text
        text = re.sub(r"(?s)<connection>.*?</connection>\n?", "", text)
        text = re.sub(r"(?m)^(remote|connect-retry) .*\n", "", text)
        path = self.manager.folder / f"{name}.ovpn"
        path.write_text("".join(f"remote 10.99.0.1 {port} {transport}\n" for port in PORTS) + text)
        return path

    def tunnel(self, gateway):
        return self.ask("GET", f"/gateways/{gateway}/tunnel")

    def wait_for(self, gateway, seconds=20, **wanted):
        return wait(lambda: f"{wanted} of {self.tunnel(gateway)}\n{self.log}\n{self.server.process.log[-3000:]}",
                    lambda: all(self.tunnel(gateway).get(k) == v for k, v in wanted.items()) and self.tunnel(gateway), seconds)

    def stat(self, gateway):
        stats = self.ask("GET", f"/gateways/{gateway}")["stats"]
        return stats.get("ManagementTunnel-IPAddress")

    def events(self, gateway):
        return [e["kind"] for e in self.ask("GET", f"/gateways/{gateway}/events?limit=100")["items"]]

    def stop(self):
        if self.server.process:
            self.server.process.stop()
        self.manager.stop(signal.SIGKILL)


@pytest.fixture
def pair(lab, tmp_path):
    made = Pair(lab, tmp_path).start()
    yield made
    made.stop()


class Person:
    """A tenant's administrator with a login at the console."""

    def __init__(self, pair, name, slug, tenant):
        password = "a long password"
        user = pair.ask("POST", "/users", {"name": name, "tenant": tenant, "password": password + "!"})["id"]
        pair.ask("POST", f"/users/{user}/roles", {"role": "tenant-admin", "tenant": tenant})
        self.port = int(re.search(r"(?m)^console = 127.0.0.1:(\d+)", pair.manager.config.read_text())[1])
        self.cookie = ""
        self.log_in(f"{name}@{slug}", password + "!")
        self.ask("POST", "/me/password", {"old": password + "!", "new": password})
        self.log_in(f"{name}@{slug}", password)

    def log_in(self, name, password):
        answer = self.send("POST", "/login", {"user": name, "password": password})
        self.cookie = re.match(r"amm=([^;]+);", answer.headers["Set-Cookie"])[1]

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        headers |= {"Cookie": f"amm={self.cookie}", "X-AMM-Request": "1"} if self.cookie else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        return talk(connection, method, "/api/v1" + path, None if body is None else json.dumps(body), headers)

    def ask(self, *what):
        answer = self.send(*what)
        assert answer.status < 300, answer
        return json.loads(answer.body) if answer.body else None


def up(pair, name="kiosk", n=1, **more):
    gateway, path = pair.router(name, **more)
    client = stock_client(pair.lab, pair.lab.gateway(n), path)
    pair.wait_for(gateway, state="up")
    return gateway, client


def test_a_router_is_up_with_its_address_and_down_without(pair):
    gateway, client = up(pair)
    tunnel = pair.tunnel(gateway)
    assert tunnel["address"] == "10.4.32.6" and tunnel["port"] == 1190 and tunnel["slot"] == 1
    assert tunnel["remote"].startswith("10.98.1.2:") and "2.6" in tunnel["client"]
    assert pair.stat(gateway) == "10.4.32.6"
    [certificate] = pair.ask("GET", f"/gateways/{gateway}")["identities"]
    assert tunnel["key_hash"] == certificate["key_hash"], "the tunnel is tied to the certificate that was issued"
    client.stop()
    pair.wait_for(gateway, 5, state="down")
    assert pair.stat(gateway) is None
    assert [kind for kind in pair.events(gateway) if kind.startswith("tunnel")][:2] == ["tunnel-down", "tunnel-up"]


@pytest.mark.slow
def test_silence_takes_the_address_away_before_the_tunnel_is_given_up(pair):
    gateway, client = up(pair)
    pair.lab.nft("table ip cut {\n chain f { type filter hook forward priority 0; policy drop; }\n}\n")
    pair.wait_for(gateway, 12 + 3, state="down")  # 2 keep-alives and 10 s; some for this machine
    assert pair.stat(gateway) is None


@pytest.mark.parametrize("transport", ("udp", "tcp"))
def test_a_moved_router_lands_on_its_new_port(pair, transport):
    gateway, path = pair.router("kiosk")
    path = pair.file(gateway, "kiosk", transport)
    client = stock_client(pair.lab, pair.lab.gateway(1), path)
    pair.wait_for(gateway, state="up", port=1190)
    pair.ask("PUT", f"/gateways/{gateway}/tunnel", {"port": 1191})
    assert pair.server.roster.read_text().splitlines()[1:] == ["kiosk 1191 1"], "written before the answer"
    moved = pair.wait_for(gateway, state="up", address="10.4.96.6")
    assert moved["port"] == 1191 and moved["transport"] == transport and client.running
    assert not pair.ask("GET", f"/gateways/{gateway}").get("clone")


@pytest.mark.slow
def test_quarantine_cuts_and_release_lets_back(pair):
    gateway, client = up(pair)
    pair.ask("POST", f"/gateways/{gateway}/quarantine", {"reason": "test"})
    pair.wait_for(gateway, 5, state="down")
    assert pair.server.peer("kiosk") is None
    pair.ask("POST", f"/gateways/{gateway}/release", {})
    pair.wait_for(gateway, 60, state="up", address="10.4.32.6")


@pytest.mark.slow
def test_revoking_cuts_for_good(pair):
    gateway, client = up(pair)
    pair.ask("POST", f"/gateways/{gateway}/revoke", {})
    pair.wait_for(gateway, 5, state="down")
    wait(lambda: f"refused {pair.ask('GET', '/tunnel/refused')}\n{client.log[-1500:]}", lambda: any(r["reason"] == "revoked" for r in pair.ask("GET", "/tunnel/refused")["items"]), 30)
    assert pair.server.peer("kiosk") is None


@pytest.mark.slow
def test_tunnels_need_no_manager(pair):
    first, client = up(pair)
    second, path = pair.router("other")
    pair.manager.process.send_signal(signal.SIGKILL)
    pair.manager.process.wait()
    address = pair.server.tunnel_address(1190)
    assert pair.lab.ping(pair.lab.gateway(1), address) == (3, 3)
    late = stock_client(pair.lab, pair.lab.gateway(2), path)  # on the last list
    pair.server.wait_up("other", late)
    pair.manager.start(with_cad=False)
    pair.wait_for(first, state="up")
    pair.wait_for(second, state="up")
    assert "tunnel-down" not in pair.events(first)


def test_a_lost_tunnel_server_makes_nobody_down(pair):
    gateway, client = up(pair)
    holder = pair.server.process.popen
    engine = pair.server.engine_pids()
    run("kill", "-STOP", holder.pid)  # no new engine for now
    run("kill", "-9", *engine)
    try:
        pair.wait_for(gateway, 5, state="unknown")
    finally:
        run("kill", "-CONT", holder.pid)
    pair.wait_for(gateway, state="up", address="10.4.32.6")
    assert pair.events(gateway).count("tunnel-down") == 0


def test_check_ins_are_served_inside_the_tunnel(pair):
    """By the listener that amm-tunneld has handed over; with the engine dead, too."""
    up(pair)
    fetch = ("import ssl,sys,http.client\n"
             "c=ssl._create_unverified_context()\n"
             "h=http.client.HTTPSConnection('10.4.32.1',8443,context=c,timeout=5)\n"
             "h.request('GET','/time?nonce='+'00'*16)\nprint(h.getresponse().status)\n")
    ask = lambda: pair.lab.exec(pair.lab.gateway(1), "/usr/bin/python3", "-c", fetch, check=False).stdout
    wait(lambda: pair.log, lambda: ask() == "200\n")
    run("kill", "-9", *pair.server.engine_pids())
    wait("again", lambda: ask() == "200\n")


@pytest.mark.slow
def test_kick_drain_and_refusals(pair):
    gateway, client = up(pair)
    assert pair.ask("POST", f"/gateways/{gateway}/tunnel/kick", {"hold": 2})["text"].startswith("1 tunnel closed")
    pair.wait_for(gateway, 5, state="down")
    pair.wait_for(gateway, 30, state="up")
    assert "1 tunnel" in pair.ask("POST", "/tunnel/drain", {"port": 1190})["text"]
    pair.wait_for(gateway, 30, state="up")
    assert pair.manager.api("POST", "/tunnel/drain", {"port": 7}).status == 400
    [refused, *_] = pair.ask("GET", "/tunnel/refused")["items"]
    assert refused["gateway"] == gateway and refused["reason"] == "held"


@pytest.mark.slow
def test_a_tenant_sees_its_own_numbers_only(pair):
    tenant = pair.ask("POST", "/tenants", {"slug": "acme", "title": "Acme"})["id"]
    up(pair, "kiosk", 1)
    mine, _ = up(pair, "van", 2, tenant=tenant)
    eve = Person(pair, "eve", "acme", tenant)
    for name in ("van", "kiosk"):
        gateway = next(g["id"] for g in pair.ask("GET", "/gateways?limit=1000")["items"] if g["name"] == name)
        pair.ask("POST", f"/gateways/{gateway}/tunnel/kick", {"hold": 60})
    wait("both were refused", lambda: len({r["name"] for r in pair.ask("GET", "/tunnel/refused")["items"]}) == 2, 30)
    assert {r["name"] for r in eve.ask("GET", "/tunnel/refused")["items"]} == {"van@acme"}
    assert [p["gateways"]["places"] for p in eve.ask("GET", "/tunnel/ports")["items"]] == [0, 1, 0, 0]
    ports = {p["port"]: p for p in pair.ask("GET", "/tunnel/ports")["items"]}
    assert ports[1190]["taken"] == 1 and ports[1191]["taken"] == 1 and ports[1190]["free"] == 2046
    assert ports[1190]["gateways"] == {"places": 1, "up": 0, "moving": 0}
    assert pair.tunnel(mine)["port"] == 1191
    assert "van@acme 1191 1" in pair.server.roster.read_text()


@pytest.mark.slow
def test_a_pool_change_is_compared_before_and_taken_over_at_the_next_start(pair):
    gateway, client = up(pair)
    plan = {"port": 1190, "pool": "10.4.64.0/18"}
    preview = pair.ask("POST", "/tunnel/pools/preview", plan)
    assert [(c["kind"], c["port"]) for c in preview["conflicts"]] == [("pool", 1191)]
    assert pair.manager.api("PUT", "/tunnel/pools", plan).status == 409
    plan["pool"] = "172.20.0.0/22"
    assert pair.ask("POST", "/tunnel/pools/preview", plan)["conflicts"] == []
    done = pair.ask("PUT", "/tunnel/pools", plan)
    assert done["restart_needed"] and "amm-tunneld" in done["text"] and done["limit"] == 255
    assert pair.tunnel(gateway)["address"] == "10.4.32.6"
    pair.server.process.stop()
    pair.server.start()
    pair.wait_for(gateway, 60, state="up", address="172.20.0.6")
    assert pair.ask("GET", "/tunnel/ports")["items"][0]["pool"] == "172.20.0.0/22"


class Ours:
    """A gateway with software of ours, as far as the server sees it: enrols, checks in, and has an ammer a port."""

    def __init__(self, pair, serial):
        self.pair, self.seq = pair, 0
        self.gateway = Gateway(pair.manager.folder, serial)
        [token] = pair.manager.tokens()
        self.gateway.take(pair.manager.enrol(serial, token, self.gateway.request))
        self.id = pair.manager.find(serial)["id"]

    def check_in(self, **parameters):
        self.seq += 1
        body = {"v": 1, "seq": self.seq, "base": "", "hash": f"{self.seq:016x}", "clock": "ntp",
                "parameters": {k.lstrip("_"): v for k, v in parameters.items()}}
        answer = self.pair.manager.gateway("POST", "/checkin", json.dumps(body), {"Content-Type": "application/json"}, self.gateway.pair)
        assert answer.status == 200, answer
        return answer.json

    def ammer(self, port, device):
        inline = {"ca": self.pair.manager.cad.pki / "server-ca.crt", "cert": self.gateway.certificate, "key": self.gateway.key}
        path = self.pair.manager.folder / f"{device}.ovpn"
        path.write_text(f"client\ndev tun\nremote 10.99.0.1 {port} udp\nremote-cert-tls server\n" +
                        "".join(f"<{tag}>\n{file.read_text()}</{tag}>\n" for tag, file in inline.items()))
        return our_client(self.pair.lab, self.pair.lab.gateway(1), path, device=device)


@pytest.mark.slow
def test_a_move_of_ours_is_make_before_break(pair):
    """Two tunnels of one identity for a moment, by order: nobody calls that a clone, and no ping is lost."""
    ours = Ours(pair, "SN-1")
    assert ours.check_in(_60001="Enable", _10034=1190).get("set") is None
    wait("a place", lambda: pair.tunnel(ours.id)["port"] == 1190)
    old = ours.ammer(1190, "tun0")
    pair.wait_for(ours.id, state="up", address="10.4.32.6")
    pair.ask("PATCH", f"/gateways/{ours.id}/parameters", {"values": {"10034": 1191}})
    name = pair.ask("GET", f"/gateways/{ours.id}")["name"]
    assert pair.server.roster.read_text().splitlines()[1:] == [f"{name} 1190 1", f"{name} 1191 1"]
    assert ours.check_in(_60001="Enable", _10034=1190)["set"] == {"10034": 1191}
    assert pair.lab.ping(pair.lab.gateway(1), "10.4.32.1") == (3, 3)
    new = ours.ammer(1191, "tun1")
    pair.wait_for(ours.id, state="up", port=1191, address="10.4.96.6")
    assert pair.server.roster.read_text().splitlines()[1:] == [f"{name} 1191 1"]
    wait("the old one is cut", lambda: pair.server.peer(name)["port"] == 1191 and len(pair.server.status()["peers"]) == 1, 5)
    gateway = pair.ask("GET", f"/gateways/{ours.id}")
    assert not gateway["clone"] and "tunnel-down" not in pair.events(ours.id) and "tunnel-moved" in pair.events(ours.id)
    assert new.running and old.running


@pytest.mark.slow
def test_a_move_that_fails_is_taken_back_with_its_reason(pair):
    ours = Ours(pair, "SN-1")
    ours.check_in(_60001="Enable", _10034=1190)
    ours.ammer(1190, "tun0")
    pair.wait_for(ours.id, state="up", address="10.4.32.6")
    pair.ask("PUT", f"/gateways/{ours.id}/tunnel", {"port": 1193})
    assert ours.check_in(_60001="Enable", _10034=1190)["set"] == {"10034": 1193}
    back = pair.wait_for(ours.id, 75, port=1190, move_port=None)
    assert back["state"] == "up" and "60 s" in back["error"]
    name = pair.ask("GET", f"/gateways/{ours.id}")["name"]
    assert pair.server.roster.read_text().splitlines()[1:] == [f"{name} 1190 1"]
    assert "tunnel-move-failed" in pair.events(ours.id)
    assert "set" not in ours.check_in(_60001="Enable", _10034=1190)


@pytest.mark.slow
def test_two_gateways_with_one_identity_are_a_clone(pair):
    gateway, first = up(pair, "kiosk", 1)
    second = stock_client(pair.lab, pair.lab.gateway(2), pair.manager.folder / "kiosk.ovpn", name="clone")
    wait(lambda: f"seen\n{pair.log}", lambda: pair.ask("GET", f"/gateways/{gateway}")["clone"], 60)
    assert "clone" in pair.events(gateway)
    first.stop()
    second.stop()

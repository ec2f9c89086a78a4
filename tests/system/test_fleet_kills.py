"""What dies, and what must not be noticed: ammd and amm-cad by kill -9 under load, their absence, disks that are full or
take nothing. The tunnels go on in each case."""
import base64
import http.client
import json
import random
import signal
import ssl
import subprocess
import threading
import time

import pytest
from enrolling import csr, from_pkcs7
from fleet import ApiConnection, FleetGateway, FleetServer, Pings, in_namespace, story
from lab import Lab, run, wait

GONE = (OSError, http.client.HTTPException)  # what a caller sees of a server that was killed


@pytest.fixture(scope="module")
def fleet():
    """Each story kills a server of its own."""


def on_a_server_of_its_own(tale, *more):
    def told(_):
        lab = Lab()
        try:
            server = FleetServer(lab).start()
            server.group("buses", _60001="Enable")
            tale(server, *more)
        finally:
            lab.close()

    return story(told)


def joined(server, n=1, name="bus-1", **settings):
    label = server.add(name, "--serial", name.upper(), "--group", "buses")
    gateway = FleetGateway(server.lab, n, name, label, **settings).start()
    server.wait_up(gateway)
    return gateway


class Load:
    """Callers in the server's namespace, each in a thread of its own, until end(); `call(n)` raises one of GONE when the server
    does not answer."""

    def __init__(self, server, *calls):
        self.is_over, self.errors, self.calls = False, [], [0] * len(calls)
        self.threads = [threading.Thread(target=self.run, args=(server, i, call)) for i, call in enumerate(calls)]
        for thread in self.threads:
            thread.start()

    def run(self, server, i, call):
        def work():
            while not self.is_over:
                try:
                    call()
                    self.calls[i] += 1
                except GONE:
                    time.sleep(0.01)

        try:
            in_namespace(server.lab.srv, work)
        except Exception as error:
            self.errors.append(error)

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors
        assert all(self.calls), self.calls


class Copy:
    """Something that is enrolled and checks in, in Python: a caller that remembers what was acknowledged."""

    def __init__(self, server, name):
        self.server, self.name, self.seq, self.acknowledged, self.events = server, name, 0, 0, 0
        self.folder = server.folder / f"copy-{name}"
        self.folder.mkdir()
        self.key = self.folder / "key"
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        label = server.add(name, "--serial", name.upper())
        status, body = in_namespace(server.lab.srv, lambda: self.ask(
            "POST", "/.well-known/est/simpleenroll", csr(self.key), self.login(label), False))
        assert status == 200, body
        (self.folder / "crt").write_text(from_pkcs7(body)[0])
        self.connection = None

    def login(self, label):
        basic = base64.b64encode(f"{self.name.upper()}:{label}".encode()).decode()
        return {"Authorization": "Basic " + basic, "Content-Type": "application/pkcs10"}

    def connect(self, has_certificate=True):
        context = ssl.create_default_context(cafile=str(self.server.pki / "server-ca.crt"))
        context.check_hostname = False
        if has_certificate:
            context.load_cert_chain(str(self.folder / "crt"), str(self.key))
        return http.client.HTTPSConnection("10.99.0.1", 8443, context=context, timeout=10)

    def ask(self, method, path, body=None, headers=None, has_certificate=True):
        connection = self.connect(has_certificate)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def check_in(self):
        """The stat CellLink-RSSI, an event and a local change bear the number of the check-in."""
        self.seq += 1
        n = self.seq
        message = {"v": 1, "seq": n, "boot": 1, "uptime": n, "time": int(time.time()), "clock": "ntp", "base": "", "hash": f"{n:016x}",
                   "revision": 0, "stats": {"ResetCount": n}, "parameters": {"1154": f"n{n}"},
                   "changes": [{"id": 1154, "value": f"n{n}", "at": int(time.time()), "by": "user"}],
                   "events": [{"id": n, "at": int(time.time()), "kind": "boot", "text": f"n{n}", "data": {}}]}
        try:
            if self.connection is None:
                self.connection = self.connect()
            self.connection.request("POST", "/checkin", json.dumps(message), {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            body = json.loads(answer.read())
        except GONE:
            self.connection = None
            raise
        if answer.status == 200:
            assert body["seq"] == n and not body.get("full")
            assert body["events"] == n  # GP-47: saved before it was said
            self.acknowledged = n
        else:
            assert answer.status in (429, 503), (answer.status, body)
            self.connection.close()
            self.connection = None
            self.seq -= 1
            time.sleep(0.2)

    def verify(self):
        show = self.server.show(self.name)
        assert self.acknowledged <= show["seq"] <= self.seq, (self.acknowledged, show["seq"], self.seq)
        n = show["seq"]  # of one check-in all is there or nothing
        assert show["stats"]["ResetCount"] == n
        assert self.server.parameters(self.name)[1154]["reported"] == f"n{n}"
        newest = self.server.read("gateway", "events", self.name)
        assert next(e["text"] for e in newest if e["kind"] == "boot") == f"n{n}"
        history = [h["new"] for h in self.server.read("gateway", "history", self.name) if h["parameter"] == 1154]
        assert history[0] == f"n{n}" and not show["clone"]


class Operator:
    """Sets 60003 of a gateway up and up."""

    def __init__(self, server, name):
        self.server, self.id, self.value, self.acknowledged, self.name = server, server.show(name)["id"], 60, 60, name

    def set(self):
        self.value += 1
        connection = ApiConnection(self.server.sockets / "ammd.sock")
        try:
            connection.request("PATCH", f"/api/v1/gateways/{self.id}/parameters", json.dumps({"values": {"60003": self.value}}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        if answer.status == 200:
            self.acknowledged = self.value
        else:
            assert answer.status == 429 or answer.status >= 503, answer.status

    def verify(self):
        value = int(self.server.parameters(self.name)[60003]["desired"]["value"])
        assert self.acknowledged <= value <= self.value, (self.acknowledged, value, self.value)


def kill(process):
    process.kill(signal.SIGKILL)
    process.popen.wait(10)


def ammd_is_killed_again_and_again(fleet, times):
    rng = random.Random(times)
    gateway = joined(fleet)
    since = fleet.peers("bus-1")[0]["since"]
    copies = [Copy(fleet, f"copy-{n}") for n in range(3)]
    operator = Operator(fleet, "copy-0")
    pings = Pings(fleet.lab, gateway.namespace)
    load = Load(fleet, operator.set, *(copy.check_in for copy in copies))
    try:
        for _ in range(times):
            enough = [c.acknowledged + rng.randrange(1, 12) for c in copies]
            wait("check-ins go on", lambda: any(c.acknowledged >= n for c, n in zip(copies, enough)), 20, 0.002)
            kill(fleet.manager)
            fleet.start_manager()
    finally:
        load.end()
    for one in (*copies, operator):
        one.verify()
    assert fleet.ctl("audit", "verify").returncode == 0
    sent, lost, outage = pings.end()
    print(f"{[c.acknowledged for c in copies]} check-ins, {operator.acknowledged - 60} settings, {lost} of {sent} pings lost")
    assert outage <= 1 and lost <= sent * 0.01
    [peer] = fleet.peers("bus-1")
    assert peer["since"] == since, "the tunnel was made anew"
    wait("the manager knows the tunnel", lambda: fleet.stat("bus-1") == peer["address"])


def amm_cad_is_killed_again_and_again(fleet, times):
    """Under enrolments: each certificate that a gateway got is one that the server knows, and can revoke."""
    rng = random.Random(times)
    gateway = joined(fleet)
    pings = Pings(fleet.lab, gateway.namespace)
    copy = Copy(fleet, "copy-0")
    status, made = fleet.api("POST", "/enrolment-tokens", {"tenant": "1", "count": 500})
    assert status == 201, made
    labels = [item["token"] for item in made["items"]]
    enrolled, asked = [], [0]

    def enrol():
        n = asked[0]
        copy.name, key = f"new-{n}", fleet.folder / f"key-{n}"
        if not key.exists():  # the same again for a question that was not answered
            run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        status, body = copy.ask("POST", "/.well-known/est/simpleenroll", csr(key), copy.login(labels[n]), False)
        if status == 200:
            enrolled.append((copy.name, from_pkcs7(body)[0]))
            asked[0] += 1
        else:
            assert status in (503, 429, 202), (status, body)  # again, with the same token and key
            time.sleep(0.05)

    load = Load(fleet, enrol)
    try:
        for _ in range(times):
            enough = asked[0] + rng.randrange(0, 2)
            wait("enrolments go on", lambda: asked[0] >= enough or asked[0] >= len(labels) - 1, 20, 0.002)
            kill(fleet.cad)
            fleet.start_cad()
    finally:
        load.end()
    known = {g["name"]: g for g in fleet.api("GET", "/gateways?limit=1000")[1]["items"]}
    for name, pem in enrolled:
        serial = run("openssl", "x509", "-noout", "-serial", input=pem).stdout.strip().split("=")[1].lower()
        gateway_id = next(g["id"] for g in known.values() if g["serial"] == name.upper())
        certificates = fleet.api("GET", f"/gateways/{gateway_id}/certificates")[1]["items"]
        assert serial.zfill(40) in [c["serial"] for c in certificates], (name, serial, certificates)
    fleet.ctl("gateway", "revoke", next(g["name"] for g in known.values() if g["serial"] == enrolled[0][0].upper()))
    number = run("openssl", "x509", "-noout", "-serial", input=enrolled[0][1]).stdout.strip().split("=")[1]
    wait("on the revocation list", lambda: number in run("openssl", "crl", "-noout", "-text", "-in", fleet.data / "crl.pem").stdout or
         number in "".join(crls(fleet)), 10)
    sent, lost, outage = pings.end()
    print(f"{len(enrolled)} enrolments, {lost} of {sent} pings lost")
    assert outage <= 1 and lost <= sent * 0.01


def crls(fleet):
    parts = (fleet.data / "crl.pem").read_text().split("-----BEGIN")[1:]
    return [run("openssl", "crl", "-noout", "-text", input="-----BEGIN" + part).stdout for part in parts]


def without_ammd_tunnels_and_settings_stay(fleet):
    gateway = joined(fleet)
    gateway.wait_page()
    pings = Pings(fleet.lab, gateway.namespace)
    kill(fleet.manager)
    gateway.page("1154=said while nobody listened", "then", "nothing")
    wait(gateway.status, lambda: gateway.status()["check-in"]["error"], 30)
    kill(fleet.cad)
    assert gateway.status()["tunnel"]["state"] == "up"
    # The tunnel server starts anew as well: it takes the last list.
    sent, lost, outage = pings.end()
    assert outage <= 1, (sent, lost, outage)
    fleet.tunneld.stop()
    fleet.start_tunneld()
    wait(gateway.status, lambda: fleet.peers("bus-1"), 60)
    fleet.start_cad()
    fleet.start_manager()
    wait("it comes back by itself", lambda: fleet.parameters("bus-1")[1154].get("reported") == "said while nobody listened", 60)
    wait("the manager knows the tunnel", lambda: fleet.stat("bus-1") == fleet.peers("bus-1")[0]["address"])
    history = [h for h in fleet.read("gateway", "history", "bus-1") if h["parameter"] == 1154]
    assert history[0]["local"] and history[0]["new"] == "said while nobody listened"


def contents(folder):
    """What is written as a whole. Events are appended, each line with its checksum."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(("filler", "events"))}


def a_gateways_disk_takes_nothing_more(fleet, how):
    """Full while it runs; read-only from its start on, as after an error of the file system."""
    gateway = FleetGateway(fleet.lab, 1, "bus-1", fleet.add("bus-1", "--serial", "BUS-1", "--group", "buses"))
    gateway.state.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=512k", "none", gateway.state)
    filler = gateway.state / "filler"

    def remount(how, *inside):
        run(*inside, "mount", "-o", f"remount,{how}", gateway.state)

    try:
        gateway.start()
        fleet.wait_up(gateway)
        gateway.wait_page()
        if how == "full":
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], stderr=subprocess.DEVNULL)
        else:
            gateway.stop()
            wait("the tunnel has ended", lambda: not fleet.peers("bus-1"))
            remount("ro")
            gateway.start()
            fleet.wait_up(gateway)
            gateway.wait_page()
        pings = Pings(fleet.lab, gateway.namespace)
        before = contents(gateway.state)
        fleet.ctl("gateway", "set", "bus-1", "1154=no room")
        words = "No space left" if how == "full" else "Read-only file system"
        assert words in gateway.page_refuses("1154=neither this")
        gateway.check_in()
        wait(gateway.status, lambda: words in gateway.status()["storage-error"], 30)
        assert fleet.parameters("bus-1")[1154]["reported"] == ""
        assert contents(gateway.state) == before, "half-written"
        seq = gateway.status()["check-in"]["seq"]
        wait("it waits for the next one", lambda: gateway.status()["check-in"]["next"] > 100)
        assert words in gateway.status()["storage-error"] and gateway.status()["check-in"]["seq"] - seq <= 2  # every byte is paid for
        # With room again all is well by itself, and the setting arrives.
        if how == "full":
            filler.unlink()
        else:
            remount("rw")
            remount("rw", "nsenter", "-t", gateway.process.popen.pid, "-m")  # where `ip netns exec` has put it
        gateway.check_in()
        wait(lambda: f"the setting\n{gateway.status()}", lambda: fleet.parameters("bus-1")[1154]["reported"] == "no room", 60)
        wait(gateway.status, lambda: gateway.status()["storage-error"] == "", 60)
        sent, lost, outage = pings.end()
        assert outage <= 1, (sent, lost, outage)
    finally:
        gateway.stop()
        run("umount", "-l", gateway.state)


test_ammd_is_killed_20_times = on_a_server_of_its_own(ammd_is_killed_again_and_again, 20)
test_ammd_is_killed_200_times = pytest.mark.slow(on_a_server_of_its_own(ammd_is_killed_again_and_again, 200))
test_amm_cad_is_killed_20_times = on_a_server_of_its_own(amm_cad_is_killed_again_and_again, 20)
test_amm_cad_is_killed_200_times = pytest.mark.slow(on_a_server_of_its_own(amm_cad_is_killed_again_and_again, 200))
test_without_ammd_tunnels_and_settings_stay = on_a_server_of_its_own(without_ammd_tunnels_and_settings_stay)
test_a_gateways_disk_is_full = on_a_server_of_its_own(a_gateways_disk_takes_nothing_more, "full")
test_a_gateways_disk_is_read_only = on_a_server_of_its_own(a_gateways_disk_takes_nothing_more, "read-only")

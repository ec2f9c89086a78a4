"""Check-ins over TLS: what a gateway and the manager tell each other, and what a kill must not undo."""
import http.client
import json
import random
import signal
import ssl
import threading
import time

import pytest
from enrolling import Gateway, Manager, UnixConnection


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path).start()
    yield made
    made.stop(signal.SIGKILL)


class Box:
    """A gateway as small as the protocol allows: its numbers, one stat that counts, events."""

    def __init__(self, manager, folder, serial):
        [token] = manager.tokens()
        self.manager = manager
        enrolled = Gateway(folder, serial)
        enrolled.take(manager.enrol(serial, token, enrolled.request))
        self.id = manager.find(serial)["id"]
        self.context = ssl.create_default_context(cafile=str(manager.cad.pki / "server-ca.crt"))
        self.context.check_hostname = False
        self.context.load_cert_chain(*map(str, enrolled.pair))
        self.connection, self.seq, self.boot, self.sent = None, 0, 1, ""
        self.first, self.next = 1, 1   # events: kept from .first on
        self.pending = None
        self.results, self.parameters, self.revision = [], {"10034": 1190, "60001": "Disable"}, 0

    def ask(self, message):
        """The answer's status and JSON; OSError if there was none."""
        if self.connection is None:
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.manager.port, context=self.context, timeout=20)
        try:
            self.connection.request("POST", "/checkin", json.dumps(message))
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except http.client.HTTPException as error:
            self.drop()
            raise OSError(error) from error
        except OSError:
            self.drop()
            raise

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def message(self):
        self.seq += 1
        state = f"{self.seq:016x}"
        return {"v": 1, "seq": self.seq, "boot": self.boot, "base": self.sent, "hash": state, "revision": self.revision,
                "stats": {"Counter": self.seq}, "parameters": self.parameters, "results": self.results,
                "events": [{"id": i, "at": 5, "kind": "tick", "text": str(i)} for i in range(self.first, min(self.next, self.first + 20))]}

    def check_in(self):
        """One check-in; the same again after a lost answer."""
        self.pending = self.pending or self.message()
        status, answer = self.ask(self.pending)
        if status == 200:
            self.sent = "" if answer.get("full") else self.pending["hash"]
            self.first = max(self.first, answer.get("events", 0) + 1)
            self.results, self.pending = [], None
        return status, answer


def test_settings_operations_and_events_go_both_ways(manager, tmp_path):
    box = Box(manager, tmp_path, "SN-1")
    path = f"/gateways/{box.id}"
    status, answer = box.check_in()
    assert status == 200 and answer["interval"] == 900 and "set" not in answer and "full" not in answer, answer
    assert manager.api("GET", path).json["sync"] == "in-sync"

    assert manager.api("PATCH", path + "/parameters", {"values": {"60003": 60, "1154": "Seven"}}).status == 200
    asked = manager.api("POST", path + "/operations", {"kind": "reboot"}).json
    assert asked["state"] == "queued"
    assert manager.api("GET", path).json["sync"] == "pending-to-gateway"
    box.next = 4
    status, answer = box.check_in()
    assert answer["set"] == {"60003": 60, "1154": "Seven"} and answer["interval"] == 60 and answer["events"] == 3, answer
    assert [(o["id"], o["kind"]) for o in answer["operations"]] == [(asked["id"], "reboot")]
    assert manager.api("POST", f"/operations/{asked['id']}/cancel").status == 409

    box.parameters |= {"60003": 60, "1154": "Seven"}
    box.revision = answer["revision"]
    box.results = [{"id": asked["id"], "state": "done", "text": "started again"}]
    status, answer = box.check_in()
    assert "set" not in answer and "operations" not in answer, answer
    shown = manager.api("GET", path).json
    assert shown["sync"] == "in-sync" and shown["label"] == "Seven" and shown["stats"]["Counter"] == 3
    assert manager.api("GET", f"/operations/{asked['id']}").json["text"] == "started again"
    events = manager.api("GET", path + "/events?kind=tick").json["items"]
    assert [e["text"] for e in events] == ["3", "2", "1"] and {e["source"] for e in events} == {"gateway"}


def test_a_local_change_is_the_newest_word_until_the_server_has_another(manager, tmp_path):
    box = Box(manager, tmp_path, "SN-2")
    path = f"/gateways/{box.id}/parameters"
    manager.api("PATCH", path, {"values": {"60001": "Disable"}})
    box.check_in()
    message = box.message() | {"time": int(time.time()) + 2, "clock": "ntp",
                               "changes": [{"id": 60001, "value": "Enable", "at": int(time.time()) + 2, "by": "user"}]}
    manager.wait(lambda: time.time() > message["time"])
    status, answer = box.ask(message)
    box.sent = message["hash"]
    assert status == 200 and "set" not in answer, answer
    desired = manager.api("GET", path + "/60001").json["desired"]
    assert (desired["value"], desired["from"], desired["by"]) == ("Enable", "gateway", "user (on the gateway)")
    manager.wait(lambda: time.time() > message["time"] + 1)
    manager.api("PATCH", path, {"values": {"60001": "Disable"}})
    box.parameters["60001"] = "Enable"
    assert box.check_in()[1]["set"] == {"60001": "Disable"}
    history = manager.api("GET", path + "/history").json["items"]
    assert [(h["new"], h["local"]) for h in history] == [("Disable", False), ("Enable", True), ("Disable", False)]


def test_who_may_not_is_told_why(manager, tmp_path):
    box = Box(manager, tmp_path, "SN-3")
    assert box.check_in()[0] == 200
    assert manager.gateway("POST", "/checkin", "{}").status == 401
    assert box.ask({"v": 1})[0] == 400
    assert box.ask({"v": 2, "seq": 9, "base": "", "hash": "0" * 16})[0] == 400
    path = f"/gateways/{box.id}"
    assert manager.api("POST", path + "/quarantine", {"reason": "stolen"}).status == 200
    status, answer = box.check_in()
    assert (status, answer["error"], answer["fatal"]) == (403, "quarantined", True)
    assert manager.api("POST", path + "/release").status == 200
    assert box.check_in()[0] == 200
    # The connection is the same one: TLS has checked nothing anew.
    assert manager.api("POST", path + "/revoke", {}).status in (200, 204)
    status, answer = box.check_in()
    assert status == 403 and answer["fatal"], answer


def test_two_copies_are_told_from_one(manager, tmp_path):
    box = Box(manager, tmp_path, "SN-4")
    assert manager.api("PUT", "/tenants/1/clone-policy", {"policy": "quarantine"}).status == 204
    box.boot = 7
    assert box.check_in()[0] == 200
    box.boot, box.seq = 8, 40
    assert box.check_in()[0] == 200
    box.boot, box.seq = 7, 41   # the one that was not started again goes on
    status, answer = box.check_in()
    assert (status, answer["error"]) == (403, "quarantined")
    shown = manager.api("GET", f"/gateways/{box.id}").json
    assert shown["access"] == "quarantined" and shown["clone"] and "start 7" in shown["access_reason"]


def test_a_browser_is_told_as_it_happens(manager, tmp_path):
    box = Box(manager, tmp_path, "SN-5")
    box.check_in()
    stream = UnixConnection(manager.socket)
    stream.request("GET", "/api/v1/events/stream")
    answer = stream.getresponse()
    assert answer.status == 200
    box.next = 2
    told, kind = {}, None

    def read():
        nonlocal kind
        while not {"gateways", "event"} <= told.keys():
            line = answer.readline().decode()
            if not line:
                return
            line = line.strip()
            kind = line[7:] if line.startswith("event: ") else kind
            if line.startswith("data: ") and kind:
                told.setdefault(kind, json.loads(line[6:]))
    reader = threading.Thread(target=read)
    reader.start()
    manager.wait(lambda: box.check_in()[0] == 200 and not reader.is_alive())
    assert told["event"]["kind"] == "tick" and told["event"]["gateway"] == box.id
    assert [one["name"] for one in told["gateways"]["items"]] == ["SN-5"]
    stream.close()


def test_a_gateway_that_is_removed_is_unknown(manager, tmp_path):
    box = Box(manager, tmp_path, "SN-6")
    box.next = 3
    assert box.check_in()[0] == 200
    assert manager.api("DELETE", f"/gateways/{box.id}").status == 204
    assert manager.api("GET", f"/gateways/{box.id}").status == 404
    assert manager.api("GET", "/events?kind=tick").json["items"] == []
    status, answer = box.check_in()
    assert status == 403 and answer["error"] == "unknown-certificate" and answer["fatal"], answer


def drive(box, stop):
    """Check-ins until `stop`, with a new event before each."""
    chance = random.Random(box.id)
    while not stop.is_set():
        if box.pending is None and chance.random() < 0.7:
            box.next += 1
        try:
            status, answer = box.check_in()
            assert status in (200, 429, 503), (status, answer)
            if status != 200:
                stop.wait(float(1))
        except OSError:
            stop.wait(0.05)


def kill_loop(manager, folder, kills):
    boxes = [Box(manager, folder, f"SN-kill-{i}") for i in range(6)]
    stop = threading.Event()
    drivers = [threading.Thread(target=drive, args=(box, stop)) for box in boxes]
    for driver in drivers:
        driver.start()
    chance = random.Random(1)
    try:
        for _ in range(kills):
            before = sum(box.first for box in boxes)
            manager.wait(lambda: sum(box.first for box in boxes) > before + chance.randrange(12))
            manager.process.kill()
            manager.process.wait()
            manager.start(with_cad=False)
    finally:
        stop.set()
        for driver in drivers:
            driver.join()
    for box in boxes:
        box.drop()
        shown = manager.api("GET", f"/gateways/{box.id}").json
        assert not shown["clone"], "a repetition was taken for a copy"
        told = box.seq - (1 if box.pending else 0)
        assert shown["stats"]["Counter"] >= told, "an acknowledged value is gone"
        saved, after = [], ""
        while True:
            page = manager.api("GET", f"/gateways/{box.id}/events?kind=tick&limit=1000{after}").json
            saved += [int(event["text"]) for event in page["items"]]
            if "next" not in page:
                break
            after = f"&after={page['next']}"
        assert len(saved) == len(set(saved)), "an event is there twice"
        assert set(range(1, box.first)) <= set(saved), "an acknowledged event is gone"


def test_a_kill_undoes_no_acknowledged_check_in(manager, tmp_path):
    kill_loop(manager, tmp_path, 6)


@pytest.mark.slow
def test_two_hundred_kills_undo_no_acknowledged_check_in(manager, tmp_path):
    kill_loop(manager, tmp_path, 200)

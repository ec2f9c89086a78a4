"""The gateway's core against a manager that the test orders (fake_manager.py): enrolment, clock, check-ins, operations,
what survives a kill. All on loopback; no tun, no namespace."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from fake_manager import Gateway, Manager, Pki, token, tunnel_settings
from lab import BIN, wait

ACEMANAGER = BIN / "acemanager"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("fake") / "pki")


@pytest.fixture
def manager(keys):
    made = Manager(keys)
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path, manager, keys):
    made = Gateway(ACEMANAGER, tmp_path / "gateway", manager.url)
    made.label(token(keys))
    yield made
    code = made.stop()
    if code not in (0, None):
        pytest.fail(f"ended with {code}: {made.log.read_text()[-2000:]}")


def checked_in(manager, n=1, seconds=20):
    return wait(lambda: f"{n} check-ins: {manager.paths()}", lambda: len(manager.checkins) >= n and manager.checkins,
                seconds)


def test_a_new_gateway_enrols_and_checks_in(manager, gateway, keys):
    gateway.start()
    first = checked_in(manager)[0]
    assert manager.paths()[:2] == ["cacerts", "simpleenroll"]
    assert first["base"] == "" and first["seq"] == 1 and first["boot"] == 1
    assert first["stats"]["SerialNumber"] == "SN1" and first["parameters"]["60009"] == {"set": False}
    assert {e["kind"] for e in first["events"]} >= {"boot", "enrolled"}
    status = wait("acknowledged", lambda: (s := gateway.status()).get("events-waiting") == 0 and s)
    assert status["identity"]["name"] == "gw1" and status["identity"]["state"] == "valid"
    assert token(keys) not in (gateway.state / "parameters").read_text()  # used up, forgotten
    # The secret never left before the server had proved itself: only simpleenroll carries it.
    assert [p for p, h, _ in manager.requests if "Authorization" in h] == ["/.well-known/est/simpleenroll"]


def test_a_server_of_another_ca_never_sees_the_token(manager, gateway, tmp_path, keys):
    other = Pki(tmp_path / "other")
    gateway.label(token(other))
    gateway.start()
    wait("refusal", lambda: gateway.status().get("identity", {}).get("error"))
    assert manager.requests == []
    assert gateway.status()["identity"]["state"] == "enrolling"


def slow(*values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize("clock", ["1970-01-01", "2106-02-08", *slow("2000-01-01", "2026-10-31", "2037-12-31")])
def test_wrong_clocks_are_set_by_the_server(manager, gateway, clock):
    gateway.start(clock=f"@{clock} 00:00:00")
    wait("a check-in", lambda: manager.checkins, 30)
    clock_state = gateway.status()["clock"]
    assert clock_state["trusted"] and clock_state["source"] == "server"
    assert abs(clock_state["time"] - time.time()) < 10
    assert abs(manager.checkins[0]["events"][0]["at"] - time.time()) < 60  # boot, put right afterwards


@pytest.mark.parametrize("forge", ["key", "below", *slow("changed", "old-nonce")])
def test_forged_times_are_refused(manager, gateway, forge):
    manager.forge = forge
    if forge == "below":
        manager.time = lambda: 1700000000
    gateway.start(clock="@1970-01-01 00:00:00")
    wait("asked for the time", lambda: "time" in manager.paths(), 30)
    wait("refused", lambda: "time-refused" in gateway.log.read_text())
    status = gateway.status()
    assert not status["clock"]["trusted"] and status["clock"]["time"] < 1000000
    assert "simpleenroll" not in manager.paths()


def test_the_remote_access_key_is_learned_and_kept(manager, gateway):
    kept = gateway.state / "remote-access.pub"
    gateway.start()
    assert checked_in(manager)[0]["remote_access_key"] == "" and not kept.exists()
    manager.remote_key = bytes(range(32))
    restart(gateway)
    wait("the key is on disk", lambda: kept.exists() and kept.read_text() == manager.remote_key.hex() + "\n")
    n = len(manager.checkins)
    manager.remote_key = bytes(32)
    restart(gateway)  # full: says which key it has
    assert checked_in(manager, n + 1)[n]["remote_access_key"] == hashlib.sha256(bytes(range(32))).hexdigest()[:16]
    wait("the other key is on disk", lambda: kept.read_text() == "00" * 32 + "\n")


@pytest.mark.slow
def test_settings_of_the_server_are_taken_whole_or_not_at_all(manager, gateway):
    gateway.start()
    checked_in(manager)
    manager.desired = (5, {"60003": 600, "1154": "gate"})
    gateway.process.send_signal(signal.SIGHUP)  # nothing to it
    restart(gateway)
    wait("taken", lambda: manager.parameters.get("60003") == 600)
    wait("revision", lambda: any(c.get("revision") == 5 for c in manager.checkins))
    manager.desired = (6, {"60003": 601, "10034": 7})
    restart(gateway)
    wait("why", lambda: "settings-6" in manager.results, 30)
    assert manager.results["settings-6"][0]["state"] == "failed" and "10034" in manager.results["settings-6"][0]["text"]
    assert manager.parameters["60003"] == 600
    assert all(c.get("revision") != 6 for c in manager.checkins)


def restart(gateway):
    """A new core checks in at once, with everything."""
    os.kill(wait("a core", gateway.core), signal.SIGKILL)


@pytest.mark.slow
def test_a_lost_answer_is_repeated_and_nothing_is_done_twice(manager, gateway):
    manager.lose = 1
    manager.operations = [{"id": "d1", "kind": "diagnostics"}]
    gateway.start()
    wait("the result", lambda: "d1" in manager.results, 60)
    bodies = [body for path, _, body in manager.requests if path == "/checkin"]
    assert bodies[0] == bodies[1]  # the same bytes, the same number
    assert [c["seq"] for c in manager.checkins] == sorted({c["seq"] for c in manager.checkins})
    result = manager.results["d1"][0]
    assert result["state"] == "done" and "identity" in json.loads(result["data"]["text"])
    assert "PRIVATE" not in result["data"]["text"]
    ids = [e["id"] for e in manager.events]
    assert ids == list(range(1, len(ids) + 1))


def test_a_reboot_is_done_once_and_reported_after_it(manager, gateway):
    manager.operations = [{"id": "r1", "kind": "reboot"}]
    gateway.start()
    wait("done", lambda: any(r["state"] == "done" for r in manager.results.get("r1", [])), 40)
    status = gateway.status()
    assert status["boot"] == 2 and status["boot-reason"] == "reboot by server"
    assert manager.stats["BootReason"] == "reboot by server" and manager.stats["ResetCount"] == 2
    assert manager.checkins[-1]["seq"] > 32  # a restart skips what was reserved
    assert gateway.process.poll() is None


@pytest.mark.slow
def test_an_unknown_operation_is_refused(manager, gateway):
    manager.operations = [{"id": "u1", "kind": "upgrade"}, {"id": "u2", "kind": "tunnel", "args": {"minutes": 0}}]
    gateway.start()
    wait("results", lambda: {"u1", "u2"} <= set(manager.results), 40)
    assert manager.results["u1"][0]["state"] == manager.results["u2"][0]["state"] == "refused"


def test_the_tunnel_moves_and_comes_back(manager, gateway, keys):
    manager.tunnel = tunnel_settings(keys)
    manager.desired = (1, {"60001": "Enable"})
    gateway.start()
    wait("up", lambda: gateway.status().get("tunnel", {}).get("state") == "up", 30)
    conf = gateway.run_folder / "ammer-0.conf"
    assert "remote = 127.0.0.1 1190 udp" in conf.read_text() and "server-name = amm-server" in conf.read_text()
    subprocess.run([BIN / "ammer", "--config", conf, "--check-config"], check=True)
    first = int((gateway.run_folder / "runs-1190").read_text())
    # The core dies, ammer does not.
    old = gateway.core()
    os.kill(old, signal.SIGKILL)
    wait("another core", lambda: gateway.core() not in (None, old))
    wait("up again", lambda: gateway.status().get("tunnel", {}).get("state") == "up", 20)
    assert int((gateway.run_folder / "runs-1190").read_text()) == first and os.path.exists(f"/proc/{first}")
    # Make before break.
    manager.desired = (2, {"10034": 1191})
    restart(gateway)
    wait("moved", lambda: (t := gateway.status().get("tunnel", {})).get("port") == 1191 and t["state"] == "up", 30)
    wait("the old one ended", lambda: not os.path.exists(f"/proc/{first}"))
    # ammer dies: started again.
    second = int((gateway.run_folder / "runs-1191").read_text())
    os.kill(second, signal.SIGKILL)
    wait("again", lambda: int((gateway.run_folder / "runs-1191").read_text()) != second, 20)
    # The whole program is killed: the next one ends what is left of the former.
    third = wait("third", lambda: (p := int((gateway.run_folder / "runs-1191").read_text())) != second and p)
    gateway.kill()
    gateway.start()
    wait("the leftover is gone", lambda: not os.path.exists(f"/proc/{third}"))
    wait("up once more", lambda: gateway.status().get("tunnel", {}).get("state") == "up", 30)
    # A fatal answer ends it.
    manager.refuse = lambda path: (403, {"error": "revoked", "text": "revoked", "fatal": True}) if path == "/checkin" else None
    restart(gateway)
    status = wait("stopped", lambda: (s := gateway.status()).get("tunnel", {}).get("state") == "stopped" and s, 30)
    assert status["identity"]["state"] == "refused" and status["check-in"]["state"] == "refused"


@pytest.mark.slow
def test_a_move_that_fails_comes_back(manager, gateway, keys):
    manager.tunnel = tunnel_settings(keys)
    manager.desired = (1, {"60001": "Enable"})
    gateway.start()
    wait("up", lambda: gateway.status().get("tunnel", {}).get("state") == "up", 30)
    (gateway.run_folder / "down-1192").touch()
    manager.desired = (2, {"10034": 1192})
    restart(gateway)
    wait("moving", lambda: gateway.status().get("tunnel", {}).get("moving"), 30)
    wait("said so", lambda: "settings-2" in manager.results, 90)
    assert manager.results["settings-2"][0]["state"] == "failed"
    status = gateway.status()["tunnel"]
    assert status["state"] == "up" and status["port"] == 1190
    wait("reported", lambda: manager.parameters["10034"] == 1190)


def test_the_core_is_nobody(manager, keys):
    """The unprivileged half owns its folders and nothing else; ammer is started by the other one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="amm-gateway-"))
    folder.chmod(0o755)
    manager.tunnel = tunnel_settings(keys)
    manager.desired = (1, {"60001": "Enable"})
    box = Gateway(ACEMANAGER, folder / "gateway", manager.url, user="nobody")
    box.label(token(keys))
    (box.folder / "label").chmod(0o644)
    try:
        box.start()
        wait("up", lambda: box.status().get("tunnel", {}).get("state") == "up", 30)
        status = pathlib.Path(f"/proc/{box.core()}/status").read_text()
        assert re.search(r"^Uid:\t65534\t65534\t65534\t65534$", status, re.M)
        assert re.search(r"^CapEff:\t0000000000000400$", status, re.M)  # CAP_NET_BIND_SERVICE
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        assert (box.state / "gateway.key").stat().st_mode & 0o777 == 0o600
        assert box.stop() == 0
    finally:
        box.stop()
        shutil.rmtree(folder)


def test_a_certificate_past_its_half_is_renewed(manager, gateway):
    manager.certificate = {"days": 90, "age": 50}
    gateway.start()
    checked_in(manager)
    assert manager.paths().count("simplereenroll") == 1  # and not again and again
    manager.certificate = {}
    assert gateway.status()["identity"]["not-after"] < time.time() + 41 * 86400
    gateway.stop()
    gateway.start()
    wait("renewed", lambda: gateway.status().get("identity", {}).get("not-after", 0) > time.time() + 80 * 86400, 20)


@pytest.mark.slow
def test_the_last_byte_of_a_disk(manager, gateway, tmp_path):
    """Full from the start: a clear state, nothing half-written, and all is well when there is room."""
    gateway.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", gateway.state], check=True)
    try:
        filler = gateway.state / "filler"
        gateway.start()
        checked_in(manager)
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], stderr=subprocess.DEVNULL)
        restart(gateway)
        checked_in(manager, 2)
        manager.desired = (3, {"1154": "full"})
        restart(gateway)
        wait("a clear state", lambda: "space" in gateway.status().get("storage-error", ""), 20)
        assert manager.parameters.get("1154") != "full"
        filler.unlink()
        manager.desired = (3, {"1154": "full"})
        restart(gateway)
        wait("taken", lambda: manager.parameters.get("1154") == "full", 30)
        wait("good again", lambda: gateway.status().get("storage-error") == "", 20)
        gateway.stop()
    finally:
        gateway.stop()
        subprocess.run(["umount", gateway.state], check=True)

"""ammctl doctor: what is wrong is named, with what to do."""
import json

import pytest
from fleet import FleetServer
from lab import Lab


@pytest.fixture(scope="module")
def fleet():
    lab = Lab()
    server = FleetServer(lab).start()
    yield server
    lab.close()


def doctor(fleet, code):
    done = fleet.ctl("doctor", "-o", "json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def wrong(findings):
    return {f["what"]: f["text"] for f in findings if f["verdict"] == "wrong"}


def test_a_good_server(fleet):
    findings = doctor(fleet, 0)
    assert not wrong(findings)
    seen = {f["what"] for f in findings if f["verdict"] == "ok"}
    assert {"tunnel server", "manager", "gateway CA", "amm-tunneld", "port 1190", "ammd", "gateways"} <= seen, findings


def test_what_is_wrong(fleet):
    key = fleet.pki / "gateway-ca.key"
    key.chmod(0o644)
    (fleet.pki / "time.crt").rename(fleet.pki / "time.crt.away")
    fleet.tunneld.stop()
    try:
        found = wrong(doctor(fleet, 1))
        assert "chmod 600" in found["keys"] and "time.crt" in found["time key"] and "start it" in found["amm-tunneld"], found
    finally:
        key.chmod(0o600)
        (fleet.pki / "time.crt.away").rename(fleet.pki / "time.crt")
        fleet.start_tunneld()

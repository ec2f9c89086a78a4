"""Sheets, with the real ammd and amm-sheet: 10 000 rows, a kill in the middle, what ammctl does, LibreOffice's files."""
import csv
import io
import json
import os
import shutil
import subprocess

import pytest

from enrolling import UnixConnection, talk
from manager import BIN, Client, Manager, wait
from test_tunnel_manager import Pair, up

ROWS = 10_000


@pytest.fixture(scope="module")
def manager():
    made = Manager().start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def fleet(manager):
    """10 000 gateways that have never checked in; the API of root."""
    root = Client(manager, local=True)
    made = root.post("/api/v1/gateways", {"gateways": [{"name": f"bus-{i}", "serial": f"N{i:07}", "kind": "amm"}
                                                       for i in range(ROWS)]})
    assert made.status == 201, made
    return root


def sheet(*rows):
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def upload(root, content, filename="fleet.csv"):
    made = root.ask("POST", f"/api/v1/imports?filename={filename}", raw=content,
                    headers={"Content-Type": "application/octet-stream"})
    assert made.status == 201, made
    return made.json["id"]


def state_of(root, number):
    return root.get(f"/api/v1/imports/{number}").json


def until(root, number, *states):
    wait(f"import {number} is {states}", lambda: state_of(root, number)["state"] in states, 60)
    return state_of(root, number)


def values(root, name):
    found = root.get(f"/api/v1/gateways?text={name}&limit=10").json["items"]
    gateway = next(one for one in found if one["name"] == name)
    items = root.get(f"/api/v1/gateways/{gateway['id']}/parameters").json["items"]
    return {one["id"]: one["desired"]["value"] for one in items if "desired" in one}


def test_ten_thousand_rows_are_read_applied_and_undone(fleet):
    rows = [["serial", "60003", "note"]] + [[f"N{i:07}", 600 + i % 100, f"line {i % 7}"] for i in range(ROWS)]
    number = upload(fleet, sheet(*rows))
    ready = until(fleet, number, "ready", "failed")
    assert ready["state"] == "ready", ready
    assert ready["rows"]["change"] == ROWS and ready["rows"]["bad"] == 0
    assert fleet.post(f"/api/v1/imports/{number}/apply").status == 202
    done = until(fleet, number, "applied", "failed")
    assert done["state"] == "applied" and done["rows"]["applied"] == ROWS, done
    assert values(fleet, "bus-1234")[60003] == 634
    # The same sheet again changes nothing.
    again = until(fleet, upload(fleet, sheet(*rows)), "ready")
    assert again["rows"]["unchanged"] == ROWS
    result = fleet.get(f"/api/v1/imports/{number}/result.csv")
    assert len(list(csv.reader(io.StringIO(result.bytes.decode())))) == ROWS + 1
    assert fleet.post(f"/api/v1/imports/{number}/undo").status == 202
    assert until(fleet, number, "undone")["rows"]["conflicts"] == 0
    assert 60003 not in values(fleet, "bus-1234")


def test_a_kill_in_the_middle_goes_on_where_it_was(fleet, manager):
    rows = [["serial", "60003"]] + [[f"N{i:07}", 700] for i in range(ROWS)]
    number = upload(fleet, sheet(*rows))
    until(fleet, number, "ready")
    assert fleet.post(f"/api/v1/imports/{number}/apply").status == 202
    wait("some rows are applied", lambda: state_of(fleet, number)["phase"] in ("rows", "none") and
         state_of(fleet, number)["progress"]["done"] > 500 or state_of(fleet, number)["state"] == "applied", pause=0.001)
    manager.kill()
    manager.start()
    done = until(fleet, number, "applied", "failed")
    assert done["state"] == "applied" and done["rows"]["applied"] == ROWS, done
    # Each of them exactly once.
    gateway = fleet.get("/api/v1/gateways?text=bus-5000").json["items"][0]
    history = fleet.get(f"/api/v1/gateways/{gateway['id']}/parameters/history").json["items"]
    assert sum(1 for one in history if str(one["new"]) == "700") == 1, history


def test_a_sheet_without_end_harms_nobody_else(fleet):
    """A reader that is killed: the import says so, ammd and the next sheet do not care."""
    bomb = b"name,note\n" + b"x," + b"y" * 4000 + b"\n"
    number = upload(fleet, bomb * 100)
    until(fleet, number, "ready", "failed", "mapping")
    number = upload(fleet, b"PK\x03\x04" + os.urandom(100_000))
    assert until(fleet, number, "failed")["text"].startswith("The workbook is damaged")
    assert until(fleet, upload(fleet, b"serial,note\nN0000001,x\n"), "ready")["rows"]["change"] == 1
    big = fleet.ask("POST", "/api/v1/imports", raw=b"x" * (33 << 20))
    assert big.status == 413, big


def test_what_is_exported_can_be_uploaded(fleet):
    for kind in ("csv", "xlsx"):
        exported = fleet.get(f"/api/v1/export.{kind}?columns=name,serial,group,kind,note,10034")
        assert exported.status == 200, exported
        ready = until(fleet, upload(fleet, exported.bytes, f"again.{kind}"), "ready", "failed", "mapping")
        assert ready["state"] == "ready" and ready["rows"]["unchanged"] == ROWS, ready


def ammctl(manager, *argv, **more):
    return subprocess.run([BIN / "ammctl", "--config", manager.config, *argv], capture_output=True, text=True, timeout=60, **more)


def test_ammctl_uploads_shows_and_applies(fleet, manager, tmp_path):
    file = tmp_path / "moves.csv"
    file.write_bytes(sheet(["serial", "port", "note"], ["N0000010", 1191, "one"], ["N0000011", 1194, "two"]))
    asked = ammctl(manager, "import", str(file))
    assert asked.returncode == 1 and "--map" in asked.stderr, asked
    shown = ammctl(manager, "import", str(file), "--map", "B=10034")
    assert shown.returncode == 0, shown
    assert "row 3: B3, 10034: 1194 is no tunnel port. Allowed: 1190, 1191, 1192, 1193." in shown.stdout
    assert "nothing is changed yet" in shown.stdout
    refused = ammctl(manager, "import", str(file), "--map", "B=10034", "--apply", "--yes")
    assert refused.returncode == 1 and "1 rows are refused" in refused.stderr, refused
    done = ammctl(manager, "import", str(file), "--map", "B=10034", "--apply", "--only-good", "--yes")
    assert done.returncode == 0 and "1 rows applied, 0 failed" in done.stdout, done
    assert values(fleet, "bus-10")[10034] == 1191
    listed = json.loads(ammctl(manager, "-o", "json", "import", "list").stdout)
    number = listed[0]["id"]
    assert listed[0]["state"] == "applied"
    assert ammctl(manager, "import", "undo", number).returncode == 0
    until(fleet, number, "undone")
    assert state_of(fleet, number)["rows"]["conflicts"] == 0  # (its place, and so 10034, is the balancer's now)
    assert fleet.get("/api/v1/gateways?text=bus-10&limit=1").json["items"][0]["note"] == ""
    book = tmp_path / "list.xlsx"
    assert ammctl(manager, "gateway", "export", "--text", "bus-77", "--columns", "serial,name", str(book)).returncode == 0
    assert book.read_bytes()[:2] == b"PK"
    plain = ammctl(manager, "gateway", "export", "--text", "bus-7777", "--columns", "serial,name")
    assert plain.stdout == "serial,name\nN0007777,bus-7777\n", plain


@pytest.mark.slow
def test_a_sheet_from_libreoffice(fleet, tmp_path):
    """Its XLSX of 10 000 rows: text, numbers, a column of dates, a formula."""
    if not shutil.which("soffice"):
        pytest.skip("needs libreoffice-calc")
    rows = [["serial", "60003", "note", "1154"]] + [[f"N{i:07}", 900 + i % 50, "2026-11-24" if i == 5 else f"n{i}", f"Bus {i}"]
                                                    for i in range(ROWS)]
    rows[8][2] = "=1+1"
    rows[9][0] = "353535353535353535"
    (tmp_path / "fleet.csv").write_bytes(sheet(*rows))
    subprocess.run(["soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/profile", "--convert-to", "xlsx", "--outdir",
                    tmp_path, tmp_path / "fleet.csv"], check=True, capture_output=True, timeout=240)
    number = upload(fleet, (tmp_path / "fleet.xlsx").read_bytes(), "fleet.xlsx")
    ready = until(fleet, number, "ready", "failed", "mapping")
    assert ready["state"] == "ready", ready
    bad = fleet.items(f"/api/v1/imports/{number}/rows?verdict=bad")
    texts = {one["row"]: one["text"] for one in bad}
    assert "a date" in texts[7] and "a formula" in texts[9] and "spreadsheet program" in texts[10], texts
    assert ready["rows"]["change"] == ROWS - 3 and len(bad) == 3
    assert fleet.post(f"/api/v1/imports/{number}/apply", {"only_good": True}).status == 202
    assert until(fleet, number, "applied")["rows"]["applied"] == ROWS - 3
    assert values(fleet, "bus-100") == {60003: 900, 1154: "Bus 100"}


@pytest.mark.slow
def test_routers_move_in_stages_and_back(lab, tmp_path):
    """Three of Debian's openvpn on ports of the balancer's choice: all come up on 1193, and go back when it is undone."""
    pair = Pair(lab, tmp_path).start()
    try:
        routers = [up(pair, f"bus-{n}", n) for n in (1, 2, 3)]
        content = sheet(["name", "10034"], *([f"bus-{n}", 1193] for n in (1, 2, 3)))
        made = talk(UnixConnection(pair.manager.socket), "POST", "/api/v1/imports?filename=moves.csv&tenant=1", content,
                    {"Content-Type": "application/octet-stream"})
        assert made.status == 201, made
        path = f"/imports/{made.json['id']}"

        def reach(state):
            wait(f"{state} of {path}", lambda: pair.ask("GET", path)["state"] == state, 90)
            return pair.ask("GET", path)

        ready = reach("ready")
        assert ready["rows"]["change"] == 3
        assert [p["in"] for p in ready["ports"]] == [0, 0, 0, 3] and sum(p["out"] for p in ready["ports"]) == 3
        before = [pair.tunnel(gateway)["port"] for gateway, _ in routers]
        pair.ask("POST", f"{path}/apply", {}, status=(202,))
        done = reach("applied")
        assert done["moves"]["back"] == 3 and done["moves"]["stage"] == 2, done
        for gateway, client in routers:
            assert pair.tunnel(gateway)["port"] == 1193 and client.running
        pair.ask("POST", f"{path}/undo", {}, status=(202,))
        reach("undone")
        for (gateway, _), port in zip(routers, before):
            pair.wait_for(gateway, state="up", port=port)
    finally:
        pair.stop()

"""ammd alone: logins, tenants that do not see one another, what survives a kill, a full disk."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest

from manager import BIN, Client, Clock, Manager, wait

PASSWORD = "a long password"


@pytest.fixture
def manager():
    made = Manager().start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared():
    made = Manager().start()
    yield made
    made.close()


def add_user(root, name, tenant, *roles):
    made = root.post("/api/v1/users", {"name": name, "tenant": tenant, "password": PASSWORD + "!"})
    assert made.status == 201, made
    for role in roles:
        assert root.post(f"/api/v1/users/{made.json['id']}/roles", role).status == 201
    user = Client(root.manager)
    assert user.log_in(made.json["login_name"], PASSWORD + "!").status == 200
    assert user.post("/api/v1/me/password", {"old": PASSWORD + "!", "new": PASSWORD}).status == 204
    return user


def test_first_start_prints_one_password_that_works_once(manager):
    once = manager.password()
    admin = Client(manager)
    assert admin.log_in("admin", once).status == 200
    assert admin.get("/api/v1/users").json["error"] == "password-change-needed"
    assert admin.post("/api/v1/me/password", {"old": once, "new": PASSWORD}).status == 204
    assert admin.get("/api/v1/users").status == 200
    assert Client(manager).log_in("admin", once).status == 401
    manager.stop()
    manager.start()
    assert manager.password() is None
    assert once not in manager.err.read_text() and PASSWORD not in manager.err.read_text()
    assert admin.ask("GET", "/api/v1/me").status == 200  # a login outlives the program
    # A wiped database does not open a door: the console of the server is needed again.
    manager.stop()
    for file in manager.database.parent.iterdir():
        file.unlink()
    manager.start()
    assert manager.password() not in (None, once)
    assert Client(manager).log_in("admin", PASSWORD).status == 401


def test_setup_cannot_be_reached_again(shared):
    stranger = Client(shared)
    for path in ("/setup", "/install", "/api/v1/setup", "/api/v1/users/", "/api/v1/users//", "/api/v1/login/../users",
                 "/api/v1/%75sers", "/API/v1/users", "/api/v1/users;a", "/api/v1/first-start", "/api/v1/me/password"):
        for method in ("GET", "POST", "PUT"):
            assert stranger.ask(method, path, {} if method != "GET" else None).status in (400, 401, 404, 405, 415, 503), path


def test_listeners_serve_only_their_own(shared):
    for port, path in ((shared.metrics, "/api/v1/server"), (shared.port, "/metrics")):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 404
    connection = http.client.HTTPConnection("127.0.0.1", shared.metrics, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    assert re.search(r"^amm_store_ok 1$", text, re.M)
    context = ssl.create_default_context(cafile=str(shared.folder / "pki" / "server-ca.crt"))
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", shared.gateways), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="amm-manager") as tls:
            tls.sendall(b"GET /api/v1/users HTTP/1.1\r\nHost: x\r\n\r\n")
            assert tls.recv(4096).split(b"\r\n")[0].endswith(b"404 Not Found")


def test_nothing_of_root_is_left(shared):
    status = open(f"/proc/{shared.process.pid}/status").read()
    assert re.search(r"^Uid:\s+(?!0\b)(\d+)\s+\1\s+\1\s+\1$", status, re.M)
    for capabilities in ("CapEff", "CapPrm", "CapBnd"):
        assert re.search(rf"^{capabilities}:\s+0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)


def test_the_unix_socket_is_root_s(shared):
    assert Client(shared, local=True).get("/api/v1/me").json["name"] == "root@local"
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "--unix-socket",
                           str(shared.socket), "http://x/api/v1/me"], capture_output=True)
    assert done.returncode != 0 and not done.stdout


def test_jumps_of_the_clock_end_no_login():
    manager = Manager()
    try:
        clock = Clock(manager.folder)
        manager.start(*clock.wrapper)
        root = Client(manager, local=True)
        admin = add_user(root, "chief", "1", {"role": "system-admin"})
        here = root.get("/api/v1/server").json["time"]
        for offset, seconds in (("+1h", 3600), ("-1h", -3600), ("+30d", 30 * 86400), ("-30d", -30 * 86400), ("+0", 0)):
            clock.jump(offset)
            assert abs(root.get("/api/v1/server").json["time"] - here - seconds) < 600
            assert admin.get("/api/v1/me").status == 200, offset
            assert admin.post("/api/v1/groups", {"name": f"at{offset}", "tenant": "1"}).status == 201, offset
        assert root.get("/api/v1/audit/verify").json["is_whole"]
    finally:
        manager.close()


# ---- tenants ----


def mirror(root, slug):
    """A tenant full of things that bear its mark."""
    mark = f"mark-{slug}"
    tenant = root.post("/api/v1/tenants", {"slug": slug, "title": mark}).json["id"]
    group = root.post("/api/v1/groups", {"tenant": tenant, "name": f"{mark}-group"}).json["id"]
    root.post("/api/v1/groups", {"tenant": tenant, "parent": group, "name": f"{mark}-below"})
    admin = add_user(root, f"{mark}-admin", tenant, {"role": "tenant-admin", "tenant": tenant})
    viewer = add_user(root, f"{mark}-viewer", tenant, {"role": "viewer", "tenant": tenant})
    token = admin.post("/api/v1/tokens", {"name": f"{mark}-token", "role": "tenant-admin"}).json
    return {"mark": mark, "tenant": tenant, "group": group, "admin": admin, "viewer": viewer, "token": token["id"],
            "by_token": Client(root.manager, token=token["token"]),
            "user": next(u["id"] for u in root.items("/api/v1/users") if u["name"] == f"{mark}-admin")}


@pytest.fixture(scope="module")
def tenants(shared):
    root = Client(shared, local=True)
    return root, mirror(root, "alpha"), mirror(root, "beta")


def test_tenants_do_not_see_one_another(tenants):
    """Every path of the description that can be read, by everyone of one tenant, with every id of the other."""
    root, ours, theirs = tenants
    paths = root.get("/api/v1/openapi.json").json["paths"]
    ids = {theirs[name] for name in ("tenant", "group", "user", "token")} | {"1", "2", "3", "9999", "x"}
    asked = 0
    for who in (ours["admin"], ours["viewer"], ours["by_token"]):
        for path, operations in paths.items():
            if "get" not in operations or operations["get"].get("x-listener") or path.endswith("/stream"):
                continue
            filled = {re.sub(r"\{\w+\}", one, path) for one in ids}
            for one in filled:
                answer = who.get(one)
                asked += 1
                assert answer.status in (200, 400, 401, 403, 404, 429, 503), (one, answer)  # 503: no amm-tunneld, no amm-cad
                assert theirs["mark"].encode() not in answer.bytes, (one, answer)
                for parameter in operations["get"]["parameters"]:
                    if parameter["in"] == "query" and parameter["name"] not in ("limit",):
                        again = who.get(f"{one}?{parameter['name']}={theirs['tenant']}")
                        assert theirs["mark"].encode() not in again.bytes, (one, parameter)
    assert asked > 60


@pytest.mark.parametrize("noun,key", [("tenants", "tenant"), ("groups", "group"), ("users", "user"), ("tokens", "token")])
def test_ids_of_the_other_are_not_there(tenants, noun, key):
    root, ours, theirs = tenants
    path = f"/api/v1/{noun}/{theirs[key]}"
    there = json.dumps(root.items(f"/api/v1/{noun}"))
    for who in (ours["admin"], ours["viewer"], ours["by_token"]):
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            answer = who.ask(method, path, body)
            assert answer.status in (404, 405), (method, path, answer)
            assert theirs["mark"].encode() not in answer.bytes
    assert json.dumps(root.items(f"/api/v1/{noun}")) == there


def test_bodies_do_not_reach_into_the_other(tenants):
    root, ours, theirs = tenants
    admin = ours["admin"]
    tries = [("POST", "/api/v1/groups", {"name": "x", "tenant": theirs["tenant"]}),
             ("POST", "/api/v1/groups", {"name": "x", "parent": theirs["group"]}),
             ("PATCH", f"/api/v1/groups/{ours['group']}", {"parent": theirs["group"]}),
             ("POST", "/api/v1/users", {"name": "x", "tenant": theirs["tenant"]}),
             ("POST", f"/api/v1/users/{ours['user']}/roles", {"role": "viewer", "tenant": theirs["tenant"]}),
             ("POST", f"/api/v1/users/{ours['user']}/roles",
              {"role": "viewer", "tenant": ours["tenant"], "group": theirs["group"]}),
             ("POST", "/api/v1/tokens", {"name": "x", "role": "viewer", "tenant": theirs["tenant"]})]
    for method, path, body in tries:
        answer = admin.ask(method, path, body)
        assert answer.status == 404, (path, body, answer)
    # What they have looks the same as what is nowhere.
    nowhere = admin.post("/api/v1/groups", {"name": "x", "parent": "987654"})
    theirs_ = admin.post("/api/v1/groups", {"name": "x", "parent": theirs["group"]})
    assert nowhere.json == theirs_.json


def test_other_sites_change_nothing(tenants):
    root, ours, _ = tenants
    before = root.items("/api/v1/groups")
    for headers in ({"X-AMM-Request": ""}, {"Origin": "https://evil.example"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        for content in ({}, {"Content-Type": "text/plain"}):
            sent = {**headers, **content}
            if "X-AMM-Request" in sent:
                client = Client(ours["admin"].manager)
                answer = client.ask("POST", "/api/v1/groups", {"name": "evil"}, {"Cookie": f"amm={ours['admin'].cookie}", **content})
            else:
                answer = ours["admin"].ask("POST", "/api/v1/groups", {"name": "evil"}, sent)
            assert answer.status == 403, (sent, answer)
            assert "Access-Control-Allow-Origin" not in answer.headers
    assert ours["admin"].ask("OPTIONS", "/api/v1/groups").status == 405
    assert ours["admin"].ask("POST", "/api/v1/groups", {"name": "evil"}, {"Content-Type": "text/plain"}).status == 415
    assert root.items("/api/v1/groups") == before


def test_answers_are_not_for_frames_caches_and_guessers(tenants):
    _, ours, _ = tenants
    headers = ours["admin"].get("/api/v1/me").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


# ---- events ----


class Stream:
    def __init__(self, manager, client, last=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", manager.port, timeout=20)
        headers = {"Cookie": f"amm={client.cookie}"}
        if last:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", "/api/v1/events/stream", headers=headers)
        self.response = self.connection.getresponse()
        assert self.response.status == 200 and self.response.headers["Content-Type"] == "text/event-stream"

    def line(self):
        return self.response.readline().decode().rstrip("\n")

    def until(self, pattern):
        while True:
            line = self.response.readline()
            assert line, f"the stream has ended before {pattern}"
            if re.match(pattern, line.decode()):
                return line.decode().rstrip("\n")

    def ended(self):
        return self.response.read() is not None


def test_a_stream_tells_what_one_may_see_and_goes_on_where_one_stopped(tenants, shared):
    root, ours, theirs = tenants
    mine, all_ = Stream(shared, ours["viewer"]), Stream(shared, ours["admin"])
    mine.until("retry:"), all_.until("retry:")
    for side in (theirs, ours):
        assert root.post("/api/v1/groups", {"name": "told", "tenant": side["tenant"]}).status == 201
    first = mine.until("id:")
    assert mine.line() == "event: group"
    assert json.loads(mine.line().removeprefix("data: "))["tenant"] == ours["tenant"]
    mine.connection.close()
    # Missed while away: told when one comes back; not what the other tenant did.
    for side in (theirs, ours):
        assert root.post("/api/v1/groups", {"name": "missed", "tenant": side["tenant"]}).status == 201
    again = Stream(shared, ours["viewer"], last=first.removeprefix("id: "))
    again.until("id:")
    assert again.line() == "event: group"
    assert json.loads(again.line().removeprefix("data: "))["tenant"] == ours["tenant"]
    # A change that is refused is not told: the next thing heard is the good one.
    assert root.post("/api/v1/groups", {"name": "missed", "tenant": ours["tenant"]}).status == 409
    made = root.post("/api/v1/groups", {"name": "good", "tenant": ours["tenant"]}).json
    again.until("id:")
    again.line()
    assert json.loads(again.line().removeprefix("data: "))["id"] == made["id"]


def test_a_stream_ends_with_the_login(tenants, shared):
    root, ours, _ = tenants
    user = add_user(root, "streamer", ours["tenant"], {"role": "viewer", "tenant": ours["tenant"]})
    stream = Stream(shared, user)
    stream.until("retry:")
    assert user.post("/api/v1/logout").status == 204
    assert stream.ended()  # within seconds: the read has a limit of 20 s
    other = add_user(root, "streamer2", ours["tenant"], {"role": "viewer", "tenant": ours["tenant"]})
    stream = Stream(shared, other, last="1234-5")
    assert stream.until("event:") == "event: reset"  # an id of another run
    found = next(u["id"] for u in root.items("/api/v1/users") if u["name"] == "streamer2")
    assert root.patch(f"/api/v1/users/{found}", {"disabled": True}).status == 200
    assert stream.ended()


# ---- TLS ----


def self_signed(path, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-days", "2", "-keyout", path / "console.key", "-out",
                    path / "console.crt"], check=True, capture_output=True)
    os.chown(path / "console.key", 65534, 65534)


def served_name(manager):
    with socket.create_connection(("127.0.0.1", manager.port), timeout=10) as plain:
        with ssl._create_unverified_context().wrap_socket(plain) as tls:
            text = ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))
    done = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=text, capture_output=True, text=True)
    return done.stdout.split("CN = ")[1].strip()


def test_the_console_over_tls_and_a_new_certificate_without_a_restart():
    manager = Manager()
    try:
        self_signed(manager.folder, "one.example")
        manager.config.write_text(manager.config.read_text() + f"console-certificate = {manager.folder}/console.crt\n"
                                  f"console-key = {manager.folder}/console.key\nconsole-names = one.example localhost\n")
        manager.start()
        assert served_name(manager) == "one.example"
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", manager.port, context=context, timeout=10)

        def ask(host):
            connection.request("POST", "/api/v1/login", json.dumps({"user": "admin", "password": manager.password()}),
                               {"Host": host, "Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer

        assert ask("evil.example").status == 421
        answer = ask(f"one.example:{manager.port}")
        assert answer.status == 200
        assert answer.headers["Set-Cookie"].startswith("__Host-amm=") and "; Secure" in answer.headers["Set-Cookie"]
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        self_signed(manager.folder, "two.example")
        manager.process.send_signal(signal.SIGHUP)
        wait("the new certificate is served", lambda: served_name(manager) == "two.example")
        assert ask("localhost").status == 200  # the connection of before goes on
        (manager.folder / "console.crt").write_text("nonsense")
        manager.process.send_signal(signal.SIGHUP)
        wait("it is said", lambda: "reload-failed listener=console" in manager.err.read_text())
        assert served_name(manager) == "two.example"
    finally:
        manager.close()


# ---- backup ----


def test_backup_and_restore(manager):
    root = Client(manager, local=True)
    admin = add_user(root, "chief", "1", {"role": "system-admin"})
    token = admin.post("/api/v1/tokens", {"name": "t", "role": "system-admin"}).json["token"]
    assert root.post("/api/v1/groups", {"name": "before", "tenant": "1"}).status == 201
    backup = root.post("/api/v1/backup")
    assert backup.status == 201, backup
    assert os.stat(backup.json["file"]).st_mode & 0o777 == 0o600
    assert root.post("/api/v1/groups", {"name": "after", "tenant": "1"}).status == 201
    assert "in use" in manager.run("--restore", backup.json["file"]).stderr
    manager.stop()
    assert manager.run("--restore", "/nonexistent").returncode == 1
    done = manager.run("--restore", backup.json["file"])
    assert done.returncode == 0, done.stderr
    manager.start()
    root = Client(manager, local=True)
    assert [group["name"] for group in root.items("/api/v1/groups")] == ["before"]
    assert Client(manager, token=token).get("/api/v1/me").status == 401
    assert admin.get("/api/v1/me").status == 401
    assert Client(manager).log_in("chief", PASSWORD).status == 200
    assert manager.password() is None
    verified = root.get("/api/v1/audit/verify").json
    assert verified["is_whole"] and verified["entries"] > 3
    assert manager.run("--verify-audit").returncode == 0


# ---- kills and disks ----


def add_groups(manager, number, told, stop):
    client, i = Client(manager, local=True), 0
    while not stop.is_set():
        name = f"w{number}-{manager.runs}-{i}"
        try:
            answer = client.post("/api/v1/groups", {"name": name, "tenant": "1"})
        except (OSError, http.client.HTTPException):
            return
        assert answer.status == 201, answer
        told.append(name)
        i += 1


def kill_loop(manager, rounds):
    told = []
    for round in range(rounds):
        stop = threading.Event()
        before = len(told)
        writers = [threading.Thread(target=add_groups, args=(manager, n, told, stop)) for n in range(4)]
        for writer in writers:
            writer.start()
        wait("something was saved", lambda: len(told) > before + 3 * (round % 7))
        manager.kill()
        stop.set()
        for writer in writers:
            writer.join()
        manager.start()
        root = Client(manager, local=True)
        names = {group["name"] for group in root.items("/api/v1/groups")}
        assert not set(told) - names, "an acknowledged change is gone"
        assert root.get("/api/v1/audit/verify").json["is_whole"]
    return told


def test_a_kill_loses_nothing_that_was_acknowledged(manager):
    assert len(kill_loop(manager, 8)) > 8


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_that_was_acknowledged(manager):
    kill_loop(manager, 200)


@pytest.fixture
def small_disk():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="amm-disk-"))  # that the server's user can reach
    folder.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "tmpfs", folder], check=True)
    (folder / "db").mkdir()
    os.chown(folder / "db", 65534, 65534)
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_a_full_disk_is_said_and_is_over_when_there_is_space(small_disk):
    manager = Manager(database=small_disk / "db" / "fleet.db").start()
    try:
        root = Client(manager, local=True)
        admin = add_user(root, "chief", "1", {"role": "system-admin"})
        ballast = small_disk / "ballast"
        with open(ballast, "wb") as file:
            try:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            except OSError:
                pass
        told, answer = [], None
        for i in range(3000):
            answer = root.post("/api/v1/groups", {"name": f"group-{i}", "tenant": "1"})
            if answer.status != 201:
                break
            told.append(f"group-{i}")
        assert answer.status == 507 and answer.json["error"] == "disk-full" and answer.headers["Retry-After"]
        assert root.get("/api/v1/server").json["store"] == "full"
        assert admin.get("/api/v1/me").status == 200  # reading and logins go on
        assert {group["name"] for group in root.items("/api/v1/groups")} == set(told)
        ballast.unlink()
        wait("writing works again", lambda: root.get("/api/v1/server").json["store"] == "ok")
        assert root.post("/api/v1/groups", {"name": "again", "tenant": "1"}).status == 201
        manager.kill()
        manager.start()
        root = Client(manager, local=True)
        assert {group["name"] for group in root.items("/api/v1/groups")} == {*told, "again"}
        assert root.get("/api/v1/audit/verify").json["is_whole"]
    finally:
        manager.close()


def test_a_disk_that_becomes_read_only_is_said(small_disk):
    manager = Manager(database=small_disk / "db" / "fleet.db").start()
    try:
        root = Client(manager, local=True)
        assert root.post("/api/v1/groups", {"name": "a", "tenant": "1"}).status == 201
        manager.stop()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        done = manager.run()
        assert done.returncode == 1 and "fleet.db" in done.stderr and "ead-only" in done.stderr
    finally:
        manager.close()


@pytest.mark.parametrize("text,words", [
    ("console = 0.0.0.0:80", "needs TLS"), ("console = nonsense", "no address"), ("console-key = x", "belong together"),
    ("strange = 1", "unknown key"), ("workers = 99", "out of range")])
def test_a_wrong_configuration_is_refused_with_words(text, words, tmp_path):
    config = tmp_path / "amm.conf"
    config.write_text(f"[manager]\n{text}\n")
    done = subprocess.run([BIN / "ammd", "--config", config, "--check-config"], capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_both_programs_take_one_file(shared):
    for program in ("ammd", "amm-tunneld"):
        done = subprocess.run([BIN / program, "--config", shared.config, "--check-config"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

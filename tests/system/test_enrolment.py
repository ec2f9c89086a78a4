"""Enrolment: one token is one gateway, whoever asks; what is revoked stays so; keys never leave their owners."""
import base64
import datetime
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import textwrap
import threading

import pytest
from cad import new_key
from enrolling import Gateway, Manager, csr, from_pkcs7
from fake_manager import Gateway as Box
from lab import BIN, run


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    made = Manager(tmp_path_factory.mktemp("manager")).start()
    yield made
    made.stop()


@pytest.fixture
def own(tmp_path):
    """A manager that a test may stop and change."""
    made = Manager(tmp_path)
    yield made
    made.stop(signal.SIGKILL)


def enrolled(manager, folder, serial):
    [token] = manager.tokens()
    gateway = Gateway(folder, serial)
    return gateway.take(manager.enrol(serial, token, gateway.request))


def database(manager):
    return sqlite3.connect(manager.folder / "fleet.db")


def retried(ask):
    """The first answer that is not "try again soon"."""
    while True:
        answer = ask()
        if answer.status not in (429, 503):
            return answer
        assert int(answer.headers["Retry-After"]) >= 1


# ---- tokens


def test_a_token_enrols_one_gateway_and_shows_the_server_to_it(manager, tmp_path):
    [token] = manager.tokens(note="for truck 7")
    assert token.startswith("amm1.") and len(token) == 71
    der = subprocess.run(["openssl", "x509", "-in", manager.cad.pki / "server-ca.crt", "-noout", "-pubkey"], capture_output=True).stdout
    pin = subprocess.run("openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary", shell=True, input=der, capture_output=True).stdout
    assert token.split(".")[2] == base64.urlsafe_b64encode(pin).decode().rstrip("=")

    gateway = Gateway(tmp_path, "SN:1/7")
    gateway.take(manager.enrol("SN:1/7", token, gateway.request))
    text = manager.cad.certificate(gateway.certificate.read_text())
    assert "CN = SN-1-7\n" in text and "TLS Web Client Authentication" in text
    run("openssl", "verify", "-CAfile", manager.cad.pki / "gateway-ca.crt", gateway.certificate)
    found = manager.find("SN:1/7")
    assert found["name"] == "SN-1-7" and found["access"] == "admitted"
    [shown] = [t for t in manager.api("GET", "/enrolment-tokens?limit=1000").json["items"] if t["note"] == "for truck 7"]
    assert shown["state"] == "used" and shown["serial"] == "SN:1/7" and "token" not in shown
    assert manager.gateway("GET", "/tunnel", certificate=gateway.pair).status == 200
    assert token.encode() not in (manager.folder / "fleet.db").read_bytes()
    assert base64.urlsafe_b64decode(token.split(".")[1] + "==") not in (manager.folder / "fleet.db").read_bytes()


def test_what_is_no_token_enrols_nobody(manager, tmp_path):
    gateway = Gateway(tmp_path, "guess")
    [used], [revoked], [good] = manager.tokens(), manager.tokens(note="revoked"), manager.tokens()
    other = Gateway(tmp_path, "first")
    other.take(manager.enrol("first", used, other.request))
    [row] = [t for t in manager.api("GET", "/enrolment-tokens?limit=1000").json["items"] if t["note"] == "revoked"]
    assert manager.api("DELETE", f"/enrolment-tokens/{row['id']}").status == 204
    prefix, secret, pin = good.split(".")
    guess = lambda: base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    swapped = secret[:-2] + ("AA" if secret[-2:] != "AA" else "QA")
    bad = [used, revoked, f"amm1.{guess()}.{pin}", f"amm1.{secret}.{base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip('=')}",
           f"amm1.{swapped}.{pin}", f"amm2.{secret}.{pin}", f"amm1.{secret}", good + "=", good[:-1], "", "password", f" {good}", "amm1..",
           f"amm1.{secret}=={'.'}{pin}"]
    for token in bad:
        answer = manager.enrol("guess", token, gateway.request)
        assert answer.status == 401 and answer.json["error"] == "token", token
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    for header in ("", "Basic", "Basic !!!", "Bearer " + good, "Basic " + base64.b64encode(b"no-colon").decode(),
                   "Basic " + base64.b64encode(f":{good}".encode()).decode(),
                   "Basic " + base64.b64encode(f"{'x' * 65}:{good}".encode()).decode()):
        answer = manager.gateway("POST", "/.well-known/est/simpleenroll", gateway.request, {"Authorization": header} if header else {})
        assert answer.status == 401, header
    assert manager.find("guess") is None
    gateway.take(manager.enrol("guess", good, gateway.request))


def test_an_expired_token_is_over(own, tmp_path):
    own.start()
    [token] = own.tokens(expires_in=60)
    own.stop()
    with database(own) as db:
        db.execute("UPDATE enrolment_token SET expires_at = expires_at - 61")
    db.close()
    own.start()
    gateway = Gateway(tmp_path, "late")
    assert own.enrol("late", token, gateway.request).status == 401


def test_other_keys_are_refused_and_cost_no_token(manager, tmp_path):
    [token] = manager.tokens()
    gateway = Gateway(tmp_path, "SN-keys")
    run("openssl", "genpkey", "-algorithm", "RSA", "-out", tmp_path / "rsa")
    run("openssl", "genpkey", "-algorithm", "ED25519", "-out", tmp_path / "ed")
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", tmp_path / "p384")
    damaged = bytearray(base64.b64decode(gateway.request))
    damaged[-5] ^= 1
    for body in [csr(tmp_path / "rsa"), csr(tmp_path / "ed"), csr(tmp_path / "p384"), csr(gateway.key, "x", "-sha512"),
                 base64.b64encode(damaged), base64.b64encode(base64.b64decode(gateway.request) + b"\0"),
                 b"-----BEGIN CERTIFICATE REQUEST-----\n" + gateway.request + b"\n-----END CERTIFICATE REQUEST-----\n", b"", b"{}"]:
        answer = manager.enrol("SN-keys", token, body)
        assert answer.status == 400 and answer.json["error"] == "bad-request", body
    assert manager.find("SN-keys") is None
    lines = base64.encodebytes(base64.b64decode(gateway.request)).replace(b"\n", b"\r\n")
    gateway.take(manager.enrol("SN-keys", token, lines))


def test_what_a_request_asks_for_is_not_looked_at(manager, tmp_path):
    [token] = manager.tokens()
    gateway = Gateway(tmp_path, "modest")
    request = csr(gateway.key, "amm-manager", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "subjectAltName=DNS:evil")
    gateway.take(manager.enrol("modest", token, request))
    text = manager.cad.certificate(gateway.certificate.read_text())
    assert "CN = modest\n" in text and "CA:FALSE" in text and "evil" not in text


@pytest.mark.parametrize("crowd", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_many_at_once_with_one_token_and_one_wins(manager, tmp_path, crowd):
    [token] = manager.tokens()
    before = struct.unpack(">QQ", manager.cad.link().ask(1)[1][:16])[1]
    gateways = [Gateway(tmp_path, f"crowd-{crowd}-{n}") for n in range(crowd)]
    answers, barrier = {}, threading.Barrier(crowd)

    def ask(gateway):
        barrier.wait()
        answers[gateway.serial] = retried(lambda: manager.enrol(gateway.serial, token, gateway.request))

    threads = [threading.Thread(target=ask, args=(g,)) for g in gateways]
    [t.start() for t in threads]
    [t.join() for t in threads]
    won = [s for s, a in answers.items() if a.status == 200]
    assert len(won) == 1 and all(a.status == 401 for s, a in answers.items() if s != won[0])
    known = [g for g in manager.api("GET", "/gateways?limit=1000").json["items"] if g["serial"].startswith(f"crowd-{crowd}-")]
    assert [g["serial"] for g in known] == won
    assert struct.unpack(">QQ", manager.cad.link().ask(1)[1][:16])[1] == before + 1, "amm-cad has issued more than one"


def test_a_lost_answer_is_given_again_to_the_same_key_only(manager, tmp_path):
    [token] = manager.tokens()
    gateway, thief = Gateway(tmp_path, "lost"), Gateway(tmp_path, "thief")
    gateway.take(manager.enrol("lost", token, gateway.request))
    again = manager.enrol("lost", token, csr(gateway.key, "other-name"))
    assert from_pkcs7(again.body) == [gateway.certificate.read_text()]
    assert manager.enrol("lost", token, thief.request).status == 401
    assert manager.enrol("thief", token, thief.request).status == 401


def test_two_gateways_cannot_have_one_key(manager, tmp_path):
    owner = enrolled(manager, tmp_path, "key-owner")
    [token] = manager.tokens()
    answer = manager.enrol("key-copy", token, csr(owner.key, "key-copy"))
    assert answer.status == 403 and answer.json["error"] == "key-taken"
    assert manager.find("key-copy") is None
    copy = Gateway(tmp_path, "key-copy")
    copy.take(manager.enrol("key-copy", token, copy.request))  # the token is still good


@pytest.mark.parametrize("serial", ["two\nlines", "blank ed", "\x1b[31m", "caf\xc3\xa9", "\xff\xfe", "a,b", "-\x00"])
def test_a_serial_number_of_other_characters_is_refused_before_it_is_noted(manager, tmp_path, serial):
    [token] = manager.tokens(note="odd")
    gateway = Gateway(tmp_path, "odd")
    basic = base64.b64encode(serial.encode("latin-1") + b":" + token.encode()).decode()
    answer = manager.gateway("POST", "/.well-known/est/simpleenroll", gateway.request, {"Authorization": "Basic " + basic})
    assert answer.status == (401 if "\0" in serial else 400), answer
    with database(manager) as db:
        assert db.execute("SELECT COUNT(*) FROM enrolment_request WHERE token = (SELECT MAX(id) FROM enrolment_token)").fetchone() == (0,)


def test_a_serial_number_that_has_enrolled_is_not_taken_over(manager, tmp_path):
    owner = enrolled(manager, tmp_path, "owned")
    thief = Gateway(tmp_path, "other")
    [token] = manager.tokens()
    answer = manager.enrol("owned", token, thief.request)
    assert answer.status == 409 and answer.json["error"] == "claimed" and "release" in answer.json["text"]
    assert manager.gateway("GET", "/tunnel", certificate=owner.pair).status == 200
    thief.take(manager.enrol("other", token, thief.request))  # the token is still good


def test_tokens_in_bulk(manager):
    tokens = manager.tokens(count=500, note="bulk")
    assert len(set(tokens)) == 500
    assert manager.api("POST", "/enrolment-tokens", {"tenant": "1", "count": 1001}).status == 400
    assert manager.api("POST", "/enrolment-tokens", {"count": 1}).status == 400
    assert manager.api("POST", "/enrolment-tokens", {"tenant": "77"}).status == 404
    assert manager.api("POST", "/enrolment-tokens", {"gateway": "123456"}).status == 404
    page, seen = "", []
    while page is not None:
        answer = manager.api("GET", f"/enrolment-tokens?limit=200{page}").json
        seen += [t["id"] for t in answer["items"] if t["note"] == "bulk"]
        page = f"&after={answer['next']}" if answer.get("next") else None
    assert len(seen) == 500


# ---- EST


def test_cacerts_are_read_by_openssl(manager):
    answer = manager.gateway("GET", "/.well-known/est/cacerts")
    assert answer.headers["Content-Type"].startswith("application/pkcs7-mime")
    want = [(manager.cad.pki / name).read_text() for name in ("server-ca.crt", "gateway-ca.crt")]
    assert from_pkcs7(answer.body) == want


@pytest.mark.skipif(not shutil.which("certtool"), reason="certtool of gnutls-bin is not installed")
def test_answers_are_read_by_gnutls(manager, tmp_path):
    gateway = enrolled(manager, tmp_path, "gnutls")
    body = manager.gateway("GET", "/.well-known/est/cacerts").body
    out = subprocess.run(["certtool", "--inder", "--p7-info"], input=base64.b64decode(body), capture_output=True)
    assert out.returncode == 0 and out.stdout.count(b"BEGIN CERTIFICATE") == 2, out.stderr
    assert b"Signer's issuer" not in out.stdout
    run("certtool", "--certificate-info", "--infile", gateway.certificate)


def test_a_browser_or_a_stranger_gets_nothing_from_the_listener_of_gateways(manager):
    for path in ("/api/v1/gateways", "/", "/metrics", "/.well-known/est/serverkeygen", "/api/v1/enrolment-tokens"):
        assert manager.gateway("GET", path).status == 404, path
    assert manager.gateway("GET", "/tunnel").status == 401
    assert manager.gateway("POST", "/.well-known/est/simplereenroll", b"AAAA").status == 401
    assert manager.gateway("GET", "/.well-known/est/simpleenroll").status == 405


# ---- time and tunnel settings


def test_the_time_answers_the_question(manager, tmp_path):
    nonce = os.urandom(16)
    answer = manager.gateway("GET", f"/time?nonce={nonce.hex()}").json
    (tmp_path / "certificate").write_text(answer["certificate"])
    (tmp_path / "signature").write_bytes(base64.b64decode(answer["signature"]))
    (tmp_path / "message").write_bytes(b"amm-time-1\0" + nonce + struct.pack(">q", answer["time"]))
    run("openssl", "pkeyutl", "-verify", "-rawin", "-certin", "-inkey", tmp_path / "certificate", "-in", tmp_path / "message",
        "-sigfile", tmp_path / "signature")
    run("openssl", "verify", "-purpose", "timestampsign", "-CAfile", manager.cad.pki / "server-ca.crt", tmp_path / "certificate")
    assert abs(answer["time"] - datetime.datetime.now().timestamp()) < 60 and answer["nonce"] == nonce.hex()
    for query in ("", "?nonce=", "?nonce=" + "g" * 32, "?nonce=" + "a" * 31, "?nonce=" + "a" * 33):
        assert manager.gateway("GET", "/time" + query).status == 400, query


def test_each_gateway_has_a_wrap_key_of_its_own(manager, tmp_path):
    gateway = enrolled(manager, tmp_path, "wrapped")
    first, second = (manager.gateway("GET", "/tunnel", certificate=gateway.pair).json for _ in range(2))
    assert first["wrap"] == "tls-crypt-v2" and first["wrap_key"] != second["wrap_key"]
    assert first["hash"] == second["hash"] and len(first["hash"]) == 16
    assert first["server_name"] == "amm-server" and first["ports"] == [1190, 1191, 1192, 1193] and first["remotes"] == ["127.0.0.1"]
    assert first["ca"] == (manager.cad.pki / "server-ca.crt").read_text()


# ---- approval


def test_a_person_approves(own, tmp_path):
    (own.config).write_text(own.config.read_text().replace("[cad]", "enrolment-approval = yes\n[cad]"))
    own.start()
    yes, no = Gateway(tmp_path, "yes"), Gateway(tmp_path, "no")
    tokens = own.tokens(count=2)
    for gateway, token in zip((yes, no), tokens):
        for _ in range(2):
            answer = own.enrol(gateway.serial, token, gateway.request)
            assert answer.status == 202 and int(answer.headers["Retry-After"]) > 0
        assert own.find(gateway.serial) is None
    waiting = {r["serial"]: r for r in own.api("GET", "/enrolment-requests").json["items"]}
    assert set(waiting) == {"yes", "no"} and waiting["yes"]["remote"].startswith("127.0.0.1:")
    assert own.api("POST", f"/enrolment-requests/{waiting['yes']['id']}/approve", {}).json["state"] == "approved"
    assert own.api("POST", f"/enrolment-requests/{waiting['no']['id']}/refuse", {}).json["state"] == "refused"
    thief = Gateway(tmp_path, "thief")  # the approval was for that key
    answer = own.enrol("yes", tokens[0], thief.request)
    assert answer.status == 202
    [again] = own.api("GET", "/enrolment-requests").json["items"]
    assert own.enrol("yes", tokens[0], yes.request).status == 202
    [again] = own.api("GET", "/enrolment-requests").json["items"]
    own.api("POST", f"/enrolment-requests/{again['id']}/approve", {})
    yes.take(own.enrol("yes", tokens[0], yes.request))
    assert own.enrol("no", tokens[1], no.request).status == 403
    assert own.find("no") is None and own.api("GET", "/enrolment-requests?state=approved").json["items"] == []


# ---- revoking and replacing


def listed(manager, gateway):
    """True if the tunnel server's list names the gateway's certificate."""
    if not manager.crl.exists():
        return False
    blocks = [b + "-----END X509 CRL-----\n" for b in manager.crl.read_text().split("-----END X509 CRL-----\n")[:-1]]
    assert len(blocks) >= 2
    return any(gateway.serial_number() in run("openssl", "crl", "-noout", "-text", input=b).stdout for b in blocks)


def test_revoking_reaches_everything(manager, tmp_path):
    gateway = enrolled(manager, tmp_path, "stolen")
    manager.wait(manager.crl.exists)
    assert not listed(manager, gateway)
    found = manager.find("stolen")
    answer = manager.api("POST", f"/gateways/{found['id']}/revoke", {"reason": "stolen at the depot"})
    assert answer.status == 200 and answer.json["access"] == "revoked"
    assert manager.gateway("GET", "/tunnel", certificate=gateway.pair).json["error"] == "revoked"
    assert manager.gateway("POST", "/checkin", "{}", {"Content-Type": "application/json"}, gateway.pair).json["error"] == "revoked"
    assert manager.renew(gateway.pair, gateway.request).json["error"] == "revoked"
    manager.wait(lambda: listed(manager, gateway), 5)
    [token] = manager.tokens(gateway=found["id"])
    refused = manager.enrol("stolen", token, gateway.request)
    assert refused.status == 403 and refused.json["error"] == "key-revoked"
    fresh = Gateway(tmp_path / "stolen", "fresh-key")
    fresh.take(manager.enrol("stolen", token, fresh.request))
    assert manager.find("stolen")["access"] == "admitted" and manager.find("stolen")["id"] == found["id"]
    assert manager.gateway("GET", "/tunnel", certificate=gateway.pair).json["error"] == "revoked"
    kinds = [c.get("revoked") is not None for c in manager.api("GET", f"/gateways/{found['id']}/certificates").json["items"]]
    assert kinds == [True, False]


def test_a_gateway_that_is_removed_is_revoked(manager, tmp_path):
    gateway = enrolled(manager, tmp_path, "removed")
    assert manager.api("DELETE", f"/gateways/{manager.find('removed')['id']}").status == 204
    assert manager.gateway("GET", "/tunnel", certificate=gateway.pair).status == 403
    assert manager.renew(gateway.pair, gateway.request).status == 403
    manager.wait(lambda: listed(manager, gateway), 5)


def test_what_is_revoked_while_amm_cad_is_away_is_told_later(own, tmp_path):
    own.start()
    gateway = enrolled(own, tmp_path, "away")
    own.cad.stop(signal.SIGKILL)
    assert own.api("POST", f"/gateways/{own.find('away')['id']}/revoke", {}).status == 200
    assert own.gateway("GET", "/tunnel", certificate=gateway.pair).json["error"] == "revoked"
    own.process.kill()  # and ammd forgets what is not saved
    own.process.wait()
    own.process = None
    own.start()
    own.wait(lambda: listed(own, gateway))


def test_revoked_stays_revoked_when_the_database_is_restored(own, tmp_path):
    own.start()
    gateway, kept = enrolled(own, tmp_path, "thief"), enrolled(own, tmp_path, "honest")
    [unused] = own.tokens()
    own.stop()
    shutil.copy(own.folder / "fleet.db", tmp_path / "backup.db")
    own.start()
    own.api("POST", f"/gateways/{own.find('thief')['id']}/revoke", {})
    own.wait(lambda: listed(own, gateway))
    own.stop()
    run(BIN / "ammd", "--config", own.config, "--restore", tmp_path / "backup.db")
    # The backup thinks that both are good: until amm-cad has said otherwise nobody comes in.
    own.start(with_cad=False)
    for one in (gateway, kept):
        for method, path, body in (("GET", "/tunnel", None), ("POST", "/checkin", "{}")):
            answer = own.gateway(method, path, body, {"Content-Type": "application/json"}, one.pair)
            assert answer.status == 503 and answer.json["error"] == "revocations-unknown" and answer.headers["Retry-After"]
    own.cad.start()
    own.wait(lambda: own.gateway("GET", "/tunnel", certificate=gateway.pair).status == 403)
    assert own.find("thief")["access"] == "revoked"
    assert own.renew(gateway.pair, csr(new_key(tmp_path, "new")[0])).json["error"] == "revoked"
    assert own.gateway("GET", "/tunnel", certificate=kept.pair).status == 200
    assert listed(own, gateway) and not listed(own, kept)
    late = Gateway(tmp_path, "late")
    assert own.enrol("late", unused, late.request).status == 401
    own.stop()
    own.start(with_cad=False)  # what is known stays known
    answer = own.gateway("POST", "/checkin", "{}", {"Content-Type": "application/json"}, kept.pair)
    assert "revocations-unknown" not in answer.body.decode()


def test_a_replacement_takes_the_place_and_nothing_of_the_old_identity(manager, tmp_path):
    old, new = enrolled(manager, tmp_path, "old-box"), Gateway(tmp_path, "new-box")
    before = manager.find("old-box")
    assert manager.api("PATCH", f"/gateways/{before['id']}", {"note": "at the gate"}).status == 200
    answer = manager.api("POST", f"/gateways/{before['id']}/replace", {"serial": "new-box"})
    assert answer.status == 200, answer
    token = answer.json["token"]["token"]
    assert answer.headers["Cache-Control"] == "no-store" and answer.json["gateway"]["access"] == "new"
    assert manager.gateway("GET", "/tunnel", certificate=old.pair).json["error"] == "revoked"
    thief = Gateway(tmp_path, "another-box")
    assert manager.enrol("another-box", token, thief.request).status == 409
    new.take(manager.enrol("new-box", token, new.request))
    after = manager.find("new-box")
    assert (after["id"], after["name"], after["note"]) == (before["id"], before["name"], "at the gate")
    assert manager.find("old-box") is None
    assert "CN = old-box\n" in manager.cad.certificate(new.certificate.read_text())
    assert manager.gateway("GET", "/tunnel", certificate=old.pair).json["error"] == "revoked"
    assert manager.gateway("GET", "/tunnel", certificate=new.pair).status == 200
    manager.wait(lambda: listed(manager, old) and not listed(manager, new), 5)


# ---- renewal


def make_certificate(manager, folder, key, name, first, last):
    """A certificate of the gateway CA with these days of life; amm-cad would not date it so."""
    ca = folder / "ca"
    ca.mkdir(exist_ok=True)
    (ca / "index").write_text("")
    (ca / "serial").write_text(os.urandom(15).hex().upper().rjust(32, "5"))
    (ca / "ca.cnf").write_text(textwrap.dedent(f"""\
        [ca]
        default_ca = d
        [d]
        database = {ca}/index
        serial = {ca}/serial
        new_certs_dir = {ca}
        default_md = sha256
        policy = p
        x509_extensions = e
        [p]
        commonName = supplied
        [e]
        basicConstraints = critical,CA:FALSE
        keyUsage = critical,digitalSignature
        extendedKeyUsage = clientAuth
        """))
    stamp = lambda days: (datetime.datetime.utcnow() + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
    run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", ca / "csr")
    run("openssl", "ca", "-batch", "-config", ca / "ca.cnf", "-in", ca / "csr", "-cert", manager.cad.pki / "gateway-ca.crt", "-keyfile",
        manager.cad.pki / "gateway-ca.key", "-startdate", stamp(first), "-enddate", stamp(last), "-notext", "-out", ca / "out.pem")
    return (ca / "out.pem").read_text()


def backdate(manager, gateway, first, last):
    """The gateway's certificate becomes one that was issued `first` days from now and ends `last` days from now."""
    gateway.certificate.write_text(make_certificate(manager, gateway.folder, gateway.key, gateway.serial, first, last))
    serial = bytes.fromhex(gateway.serial_number().rjust(40, "0"))
    with database(manager) as db:
        now = int(datetime.datetime.now().timestamp())
        [(row,)] = db.execute("SELECT i.id FROM identity i, gateway g WHERE i.gateway = g.id AND g.serial = ?", (gateway.serial,))
        db.execute("UPDATE identity SET serial = ?, not_before = ?, not_after = ?, created_at = ? WHERE id = ?",
                   (serial, now + first * 86400, now + last * 86400, now + first * 86400, row))
    db.close()


def test_renewals(own, tmp_path):
    own.start()
    names = ("fresh", "half", "ended", "slept", "dead", "revoked", "same-key")
    gateways = {name: enrolled(own, tmp_path, name) for name in names}
    own.stop()
    for name, first, last in (("half", -50, 40), ("ended", -120, -30), ("slept", -489, -399), ("dead", -491, -401),
                              ("revoked", -120, -30), ("same-key", -50, 40)):
        backdate(own, gateways[name], first, last)
    own.start()
    own.api("POST", f"/gateways/{own.find('revoked')['id']}/revoke", {})
    keys = {name: new_key(tmp_path, name + ".new")[0] for name in names}

    def renew(name, key=None):
        return own.renew(gateways[name].pair, csr(key or keys[name], "other"))

    assert renew("fresh").status == 429
    for name in ("half", "ended", "slept"):
        answer = renew(name)
        assert answer.status == 200, (name, answer)
        [pem] = from_pkcs7(answer.body)
        assert f"CN = {name}\n" in own.cad.certificate(pem)
        assert from_pkcs7(renew(name).body) == [pem], "a lost answer"
        (tmp_path / f"{name}.pem").write_text(pem)
        assert own.gateway("GET", "/tunnel", certificate=(tmp_path / f"{name}.pem", keys[name])).status == 200
    assert own.gateway("GET", "/tunnel", certificate=gateways["half"].pair).status == 200  # old and new overlap
    assert own.gateway("GET", "/tunnel", certificate=gateways["ended"].pair).json["error"] == "expired"
    assert renew("half", keys["fresh"]).status == 429
    assert renew("dead").json["error"] == "slept-too-long"
    assert renew("revoked").json["error"] == "revoked"
    answer = renew("same-key", gateways["same-key"].key)
    assert answer.status == 200
    assert renew("same-key", gateways["half"].key).json["error"] == "key-taken"
    assert own.gateway("POST", "/.well-known/est/simplereenroll", csr(keys["dead"])).status == 401


def test_nobody_renews_with_a_certificate_that_the_store_does_not_know(manager, tmp_path):
    key, _ = new_key(tmp_path)
    (tmp_path / "foreign.pem").write_text(make_certificate(manager, tmp_path, key, "foreign", -1, 30))
    answer = manager.renew((tmp_path / "foreign.pem", key), csr(key))
    assert answer.status == 403 and answer.json["error"] == "unknown-certificate"
    assert manager.gateway("GET", "/tunnel", certificate=(tmp_path / "foreign.pem", key)).json["error"] == "unknown-certificate"


# ---- our own gateway


@pytest.fixture
def box(manager, tmp_path):
    made = Box(BIN / "acemanager", tmp_path / "box", f"https://127.0.0.1:{manager.port}", serial=f"box-{os.getpid()}-{tmp_path.name[-20:]}")
    made.serial = [line for line in made.conf.read_text().splitlines() if line.startswith("serial = ")][0][9:]
    yield made
    made.stop()


def checked_in(manager, box):
    return (manager.find(box.serial) or {}).get("last_checkin")


def test_our_gateway_without_a_clock_enrols_and_checks_in(manager, box):
    [token] = manager.tokens()
    box.label(token)
    box.start(clock="@1970-01-01 00:00:00")
    manager.wait(lambda: checked_in(manager, box), 30)
    clock = box.status()["clock"]
    assert clock["trusted"] and clock["source"] == "server"
    assert box.status()["identity"]["state"] == "valid"


def test_our_gateway_is_replaced_and_comes_back_with_a_new_key(manager, box):
    [token] = manager.tokens()
    box.label(token)
    box.start()
    manager.wait(lambda: checked_in(manager, box), 30)
    found = manager.find(box.serial)
    key = manager.api("GET", f"/gateways/{found['id']}/certificates").json["items"][0]["key"]
    answer = manager.api("POST", f"/gateways/{found['id']}/replace", {"serial": box.serial})
    assert answer.json["error"] == "same-serial"
    assert manager.api("POST", f"/gateways/{found['id']}/revoke", {}).status == 200
    box.stop()
    [token] = manager.tokens(gateway=found["id"])
    shutil.rmtree(box.state)  # as after a factory reset
    box.label(token)
    box.start()
    manager.wait(lambda: manager.find(box.serial)["access"] == "admitted", 30)
    keys = [c["key"] for c in manager.api("GET", f"/gateways/{found['id']}/certificates").json["items"]]
    assert len(set(keys)) == 2 and keys[0] == key


# ---- amm-cad away


def test_without_amm_cad_nothing_is_signed_and_nothing_is_lost(own, tmp_path):
    own.start()
    [token] = own.tokens()
    enrolled(own, tmp_path, "before")
    own.cad.stop(signal.SIGKILL)
    gateway = Gateway(tmp_path, "patient")
    for answer in (own.enrol("patient", token, gateway.request), own.gateway("GET", "/time?nonce=" + "0" * 32)):
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0 and answer.json["error"] == "cad-down"
    assert own.gateway("GET", "/.well-known/est/cacerts").status == 200
    assert own.api("GET", "/gateways").status == 200
    own.cad.start()
    gateway.take(retried(lambda: own.enrol("patient", token, gateway.request)))


def test_killed_under_enrolments_each_token_is_one_certificate(own, tmp_path):
    """ammd and amm-cad are killed while gateways enrol; all of them get one certificate in the end."""
    own.start()
    tokens = own.tokens(count=12)
    gateways = [Gateway(tmp_path, f"g{n}") for n in range(12)]
    left = list(zip(gateways, tokens))
    stop = threading.Event()

    def enrol():
        while not stop.is_set():
            try:
                gateway, token = left.pop()
            except IndexError:
                return
            try:
                answer = own.enrol(gateway.serial, token, gateway.request)
            except OSError:
                answer = None
            if answer and answer.status == 200:
                gateway.take(answer)
            else:
                assert answer is None or answer.status in (503, 507), answer
                left.insert(0, (gateway, token))
                stop.wait(0.05)

    for round in range(4):
        threads = [threading.Thread(target=enrol) for _ in range(4)]
        [t.start() for t in threads]
        stop.wait(0.15)
        if round % 2:
            own.cad.stop(signal.SIGKILL)
            own.cad.start()
        else:
            own.process.kill()
            own.process.wait()
            own.process = None
            own.start(with_cad=False)
    [t.join(60) for t in threads]
    threads = [threading.Thread(target=enrol) for _ in range(4)]
    [t.start() for t in threads]
    [t.join(60) for t in threads]
    assert left == []
    for gateway in gateways:
        assert retried(lambda: own.gateway("GET", "/tunnel", certificate=gateway.pair)).status == 200
        assert own.find(gateway.serial)["access"] == "admitted"
    with database(own) as db:
        assert db.execute("SELECT COUNT(*) FROM identity").fetchone() == (12,)
        assert db.execute("SELECT COUNT(*) FROM enrolment_request").fetchone() == (0,)
    db.close()
    assert struct.unpack(">QQQ", own.cad.link().ask(1)[1][:24])[1:] == (12, 0), "amm-cad has issued more, or revoked"


# ---- connection files, two CAs


def add_router(manager, name):
    answer = manager.api("POST", "/gateways", {"tenant": "1", "name": name, "kind": "openvpn"})
    assert answer.status == 201, answer
    return answer.json["id"]


def test_a_connection_file_is_given_once_and_its_key_is_kept_nowhere(manager, tmp_path):
    router = add_router(manager, "router-1")
    assert manager.api("POST", f"/gateways/{router}/connection-file", {}).json["error"] == "no-hosts"
    assert manager.api("POST", f"/gateways/{router}/connection-file", {"remotes": ["a b"]}).status == 400
    answer = manager.api("POST", f"/gateways/{router}/connection-file", {"remotes": ["vpn.example.net", "192.0.2.1"], "days": 30})
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/x-openvpn-profile", answer
    text = answer.body.decode()
    block = lambda tag: text.split(f"<{tag}>\n")[1].split(f"</{tag}>")[0]
    (tmp_path / "cert").write_text(block("cert"))
    (tmp_path / "key").write_text(block("key"))
    public = run("openssl", "x509", "-in", tmp_path / "cert", "-noout", "-pubkey").stdout
    assert public == run("openssl", "pkey", "-in", tmp_path / "key", "-pubout").stdout
    run("openssl", "verify", "-CAfile", manager.cad.pki / "profile-ca.crt", tmp_path / "cert")
    assert "CN = router-1\n" in manager.cad.certificate(block("cert"))
    assert "verify-x509-name amm-server name\n" in text and "remote vpn.example.net 1190 udp\n" in text
    assert block("tls-crypt") == (manager.cad.pki / "tls-crypt.key").read_text()
    key = base64.b64decode("".join(block("key").splitlines()[1:-1]))[36:68]
    for file in manager.folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert key not in data and block("key").encode() not in data, file
    v2 = manager.api("POST", f"/gateways/{router}/connection-file", {"remotes": ["h"], "wrap": "tls-crypt-v2"}).body.decode()
    assert "tls-crypt-v2 client key" in v2
    assert manager.api("POST", f"/gateways/{router}/connection-file", {"remotes": ["h"], "wrap": "tls-auth"}).json["error"] == "wrong-wrap"
    (tmp_path / "file.ovpn").write_bytes(answer.body)
    certificate = (tmp_path / "cert", tmp_path / "key")
    assert manager.renew(certificate, csr(tmp_path / "key")).json["error"] == "wrong-kind"
    ours = enrolled(manager, tmp_path, "no-file")
    assert manager.api("POST", f"/gateways/{manager.find(ours.serial)['id']}/connection-file", {"remotes": ["h"]}).json["error"] == "wrong-kind"
    assert manager.api("POST", f"/gateways/{router}/revoke", {}).status == 200
    gateway = Gateway(tmp_path, "x")
    gateway.certificate.write_text(block("cert"))
    manager.wait(lambda: listed(manager, gateway), 5)


def test_two_cas_in_overlap_and_who_is_lost_with_the_old_one(own, tmp_path):
    own.start()
    gateways = [enrolled(own, tmp_path, f"g{n}") for n in range(3)]
    own.stop()
    run(BIN / "ammctl", "pki", "roll", "gateway-ca", "--pki", own.cad.pki)
    backdate_all = database(own)
    with backdate_all as db:
        db.execute("UPDATE identity SET not_before = not_before - 7200, created_at = created_at - 7200")
    backdate_all.close()
    own.start()
    cas = from_pkcs7(own.gateway("GET", "/.well-known/est/cacerts").body)
    assert cas == [(own.cad.pki / f"{n}.crt").read_text() for n in ("server-ca", "gateway-ca", "gateway-ca-1")]
    report = lambda: {a["name"]: a for a in own.api("GET", "/authorities").json["items"] if a["kind"] == "gateway"}
    assert {n: (a["gateways"], a["issues"]) for n, a in report().items()} == {"amm gateway CA": (3, False), "amm gateway CA 2": (0, True)}
    assert own.gateway("GET", "/tunnel", certificate=gateways[0].pair).status == 200
    key, _ = new_key(tmp_path, "renewed")
    assert own.renew(gateways[0].pair, csr(key)).status == 200
    newcomer = enrolled(own, tmp_path, "newcomer")
    run("openssl", "verify", "-CAfile", own.cad.pki / "gateway-ca.crt", newcomer.certificate)
    assert {n: a["gateways"] for n, a in report().items()} == {"amm gateway CA": 2, "amm gateway CA 2": 1}
    lost = own.api("GET", f"/authorities/{report()['amm gateway CA']['key']}/gateways?limit=1").json
    assert [g["name"] for g in lost["items"]] == ["g1"] and lost["next"]
    lost = own.api("GET", f"/authorities/{report()['amm gateway CA']['key']}/gateways?limit=1&after={lost['next']}").json
    assert [g["name"] for g in lost["items"]] == ["g2"]
    own.api("POST", f"/gateways/{own.find('g2')['id']}/revoke", {})
    own.wait(lambda: listed(own, gateways[2]), 5)
    own.stop()
    run(BIN / "ammctl", "pki", "retire", "gateway-ca-1", "--pki", own.cad.pki)
    own.start()
    assert list(report()) == ["amm gateway CA 2"]
    with pytest.raises(OSError):  # TLS does not know its CA any more
        own.gateway("GET", "/tunnel", certificate=gateways[1].pair)
    assert own.gateway("GET", "/tunnel", certificate=newcomer.pair).status == 200

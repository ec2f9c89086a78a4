"""amm-cad: who may ask, what it never gives, and that nothing it has answered is lost."""
import os
import random
import signal
import socket
import struct
import threading

import pytest
from cad import (AUTHORITIES, BUSY, CONFLICT, DONE, FAILED, ISSUED, LISTS, REFUSED, REVOCATIONS, REVOKED_BEFORE, SIGNED_TIME,
                 STATE, STATUS, TIME, WRAP, Cad, new_key)
from lab import BIN, run


@pytest.fixture
def cad(tmp_path):
    made = Cad(tmp_path)
    yield made.start()
    made.stop(signal.SIGKILL)


def test_it_is_nobody_and_can_do_nothing_else(cad):
    assert "sandbox=on" in cad.ready
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{cad.process.pid}/status").read().splitlines() if ":\t" in line)
    nobody = run("id", "-u", "nobody").stdout.strip()
    assert status["Uid"].split() == [nobody] * 4
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    sockets = [os.readlink(f"/proc/{cad.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{cad.process.pid}/fd")]
    assert not [s for s in sockets if "pki" in s]
    unix = {line.split()[6] for line in open("/proc/net/unix").read().splitlines()[1:]}
    for inode in [s[8:-1] for s in sockets if s.startswith("socket:")]:
        assert inode in unix, "a socket that is no unix socket"


def test_only_the_managers_user_may_ask(tmp_path):
    tmp_path.chmod(0o755)
    for part in tmp_path.parents:
        if str(part).startswith("/tmp/"):
            part.chmod(0o755)
    cad = Cad(tmp_path, manager="daemon").start()
    ask = ("import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\n"
           f"s.connect({str(cad.path)!r})\ns.send(bytes([1,1,0,0])+bytes(8))\nprint(len(s.recv(100)))")
    try:
        as_user = lambda user: run("setpriv", "--reuid", user, "--regid", {"daemon": "daemon", "nobody": "nogroup"}[user], "--clear-groups", "/usr/bin/python3", "-c", ask, check=False)
        assert as_user("daemon").stdout.strip() == "52"
        refused = as_user("nobody")
        assert refused.returncode != 0 and "PermissionError" in refused.stderr
        cad.path.chmod(0o666)  # even then
        refused = as_user("nobody")
        assert refused.stdout.strip() in ("0", "") and "52" not in refused.stdout
        assert as_user("daemon").stdout.strip() == "52"
    finally:
        cad.stop()


def test_what_the_policy_forbids_is_not_given(cad, tmp_path):
    _, key = new_key(tmp_path)
    link = cad.link()
    for name in ("amm-manager", "amm-server", "a b", "a/b", "@x", ""):
        assert link.issue(key, name)[1][0] == REFUSED, name
    assert link.issue(key, days=91)[1][0] == REFUSED
    assert link.issue(b"\0" * 91)[1][0] == REFUSED
    answer, (_, pem) = link.issue(key, "gw-1@depot")
    assert answer == ISSUED
    text = cad.certificate(pem)
    assert "CA:FALSE" in text and "TLS Web Client Authentication" in text and "CN = gw-1@depot" in text
    assert "Server Authentication" not in text and "Subject Alternative" not in text
    (tmp_path / "gw.pem").write_text(pem)
    run("openssl", "verify", "-CAfile", cad.pki / "gateway-ca.crt", tmp_path / "gw.pem")


def test_one_approval_gives_one_certificate_also_after_a_crash(cad, tmp_path):
    (_, first), (_, second) = new_key(tmp_path, "1"), new_key(tmp_path, "2")
    approval = os.urandom(16)
    _, made = cad.link().issue(first, approval=approval)
    for _ in range(2):
        assert cad.link().issue(first, approval=approval) == (ISSUED, made)
        assert cad.link().issue(second, approval=approval)[1][0] == CONFLICT
        cad.stop(signal.SIGKILL)
        cad.start()


def test_the_rate_is_limited(tmp_path):
    cad = Cad(tmp_path, per_minute=20).start()
    _, key = new_key(tmp_path)
    link = cad.link()
    try:
        results = [link.issue(key) for _ in range(60)]
    finally:
        cad.stop()
    given = [r for r in results if r[0] == ISSUED]
    assert 20 <= len(given) <= 40  # one each three seconds more, should the machine be slow
    assert all(r[1][0] == BUSY for r in results if r[0] == FAILED)


def test_revocations_stay_and_are_listed(cad, tmp_path):
    _, key = new_key(tmp_path)
    serials = []
    for n in range(3):
        _, (serial, _) = cad.link().issue(key, f"gw-{n}")
        serials.append(serial)
    assert cad.link().revoke(serials[1]) == DONE
    for _ in range(2):
        link = cad.link()
        assert link.issue(key, "gw-1", renews=serials[1])[1][0] == REVOKED_BEFORE
        assert link.issue(key, "gw-0", renews=serials[0])[0] == ISSUED
        lists = "".join(part[2:].decode() for part in link.parts(LISTS))
        assert lists.count("BEGIN X509 CRL") == 2
        text = run("openssl", "crl", "-noout", "-text", input=lists).stdout.replace(":", "")
        assert serials[1].hex().lstrip("0").upper() in text and serials[0].hex().lstrip("0").upper() not in text
        [revoked] = list(link.parts(REVOCATIONS))
        assert revoked[:2] == b"\0\1" and revoked[2:22] == serials[1]
        answer, state = link.ask(STATUS)
        assert answer == STATE and struct.unpack(">QQQ", state[:24])[2] == 1
        cad.stop(signal.SIGKILL)
        cad.start()


def test_what_ammctl_revoked_before_is_known(tmp_path):
    cad = Cad(tmp_path)
    run(BIN / "ammctl", "pki", "gateway", "old", "--pki", cad.pki)
    run(BIN / "ammctl", "pki", "revoke", "old", "--pki", cad.pki)
    cad.start()
    try:
        [revoked] = list(cad.link().parts(REVOCATIONS))
    finally:
        cad.stop()
    assert revoked[:2] == b"\0\1"


def test_a_long_list_comes_in_parts_while_others_are_served(cad):
    link, other = cad.link(), cad.link()
    for n in range(600):
        assert link.revoke((n + 1).to_bytes(20, "big")) == DONE
    assert sum(struct.unpack(">H", part[:2])[0] for part in link.parts(REVOCATIONS)) == 600
    link.send(LISTS)
    assert other.ask(STATUS)[0] == STATE  # before the first one has read its list
    parts = 0
    while link.receive()[0] != DONE:
        parts += 1
    assert parts > 2


def test_time_is_signed_and_forged_answers_are_not(cad, tmp_path):
    link = cad.link()
    nonce = os.urandom(16)
    answer, body = link.ask(TIME, nonce)
    assert answer == SIGNED_TIME
    (tmp_path / "signature").write_bytes(body[8:])
    (tmp_path / "certificate").write_text(link.text(AUTHORITIES, 3))

    def verifies(nonce, time):
        (tmp_path / "message").write_bytes(b"amm-time-1\0" + nonce + time)
        return run("openssl", "pkeyutl", "-verify", "-rawin", "-certin", "-inkey", tmp_path / "certificate", "-in", tmp_path / "message",
                   "-sigfile", tmp_path / "signature", check=False).returncode == 0

    assert verifies(nonce, body[:8])
    assert not verifies(os.urandom(16), body[:8])
    assert not verifies(nonce, (int.from_bytes(body[:8], "big") + 1).to_bytes(8, "big"))


def test_the_wraps_are_those_of_the_tunnel_server(cad):
    link = cad.link()
    assert link.text(WRAP, 1) == (cad.pki / "tls-auth.key").read_text()
    assert link.text(WRAP, 2) == (cad.pki / "tls-crypt.key").read_text()
    first, second = link.text(WRAP, 3), link.text(WRAP, 3)
    assert "tls-crypt-v2 client key" in first and first != second


def test_malformed_messages_end_the_connection_and_nothing_else(cad, tmp_path):
    _, key = new_key(tmp_path)
    rng = random.Random(7)
    for _ in range(300):
        link = cad.link()
        link.socket.send(rng.randbytes(rng.randrange(1, 300)))
        try:
            assert link.socket.recv(9000) == b""
        except ConnectionResetError:
            pass
        link.socket.close()
    assert cad.link().issue(key)[0] == ISSUED


def test_silent_connections_make_room(cad):
    crowd = [cad.link() for _ in range(30)]
    assert cad.link().ask(STATUS)[0] == STATE
    del crowd


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_forgets_nothing(tmp_path, rounds):
    """Whatever was answered before a kill is known afterwards."""
    cad = Cad(tmp_path)
    _, key = new_key(tmp_path)
    rng = random.Random(3)
    answered = {}
    for _ in range(rounds):
        cad.start()
        link = cad.link()
        killer = threading.Timer(rng.uniform(0.02, 0.2), cad.process.kill)
        killer.start()
        try:
            while True:
                approval = os.urandom(16)
                _, (serial, pem) = link.issue(key, approval=approval)
                answered[approval] = (serial, pem)
                if rng.random() < 0.3:
                    link.revoke(serial)
                    answered[approval] = (serial, None)
        except (ConnectionError, socket.timeout, OSError):
            pass
        killer.join()
        cad.stop(signal.SIGKILL)
    cad.start()
    link = cad.link()
    assert len(answered) > rounds
    for approval, (serial, pem) in answered.items():
        answer, made = link.issue(key, approval=approval)
        if pem is None:
            assert answer == FAILED and made[0] == REVOKED_BEFORE
        elif answer == ISSUED:
            assert made == (serial, pem)
        else:  # the kill came between the revocation and its answer
            assert made[0] == REVOKED_BEFORE
    cad.stop()


def test_a_wrong_configuration_is_told_in_one_sentence(tmp_path):
    cad = Cad(tmp_path)
    run(BIN / "amm-cad", "--config", cad.config, "--check-config")
    cad.config.write_text(cad.config.read_text() + "certificates-per-hour = 3\n")
    done = run(BIN / "amm-cad", "--config", cad.config, "--check-config", check=False)
    assert done.returncode == 2 and "certificates-per-hour: unknown key" in done.stderr
    cad = Cad(tmp_path)
    (cad.pki / "time.key").unlink()
    (cad.pki / "time.crt").unlink()
    done = run(BIN / "amm-cad", "--config", cad.config, "--check-config", check=False)
    assert done.returncode == 2 and "ammctl pki upgrade" in done.stderr
    assert "time.crt" in run(BIN / "ammctl", "pki", "upgrade", "--pki", cad.pki).stdout
    run(BIN / "amm-cad", "--config", cad.config, "--check-config")

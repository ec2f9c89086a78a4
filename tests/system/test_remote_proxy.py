"""amm-proxyd: from the click to the page, and what must not come through."""
import base64
import hashlib
import json
import os
import signal
import socket
import struct
import threading
import time

import pytest
from lab import run, wait
from proxy import (ASSERTION, BASIC, DOMAIN, ENTERED, HTTPS, KEY, RESULT, TEST, Proxy, Remote, address,
                   new_label, optional, text, until_closed)


@pytest.fixture
def proxy(tmp_path):
    made = Proxy(tmp_path)
    yield made
    made.close()


@pytest.fixture
def secure(tmp_path):
    made = Proxy(tmp_path, secure=True)
    yield made
    made.close()


def opened(proxy, where, **more):
    """A remote session that a browser has entered."""
    session = proxy.manager.add(Remote(where, **more))
    browser = proxy.browser(session)
    wait("entered", lambda: browser.enter()[0] == 200)
    return session, browser


def field(fields, name):
    return [value for key, value in fields if key.lower() == name.lower()]


WEBSOCKET = ("GET /ws HTTP/1.1\nHost: {host}\nCookie: {cookie}\nOrigin: {origin}\nUpgrade: websocket\nConnection: Upgrade\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n\n")
DOWNLOAD = "GET /stream HTTP/1.1\nHost: {host}\nCookie: {cookie}\n\n"


def head_of(connection):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    return head.decode()


def test_it_is_nobody_in_the_tunnels_namespace(proxy):
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{proxy.process.pid}/status").read().splitlines()
                  if ":\t" in line)
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert os.readlink(f"/proc/{proxy.process.pid}/ns/net") != os.readlink("/proc/self/ns/net")


def test_click_to_page(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    session = proxy.manager.add(Remote(where, host="192.168.13.31:9443"))
    browser = proxy.browser(session)
    status, fields, _ = browser.enter()
    assert status == 200 and field(fields, "Refresh") == ["0; url=/"]
    [cookie] = field(fields, "Set-Cookie")
    assert cookie.startswith("amm-remote=") and "HttpOnly; SameSite=Strict" in cookie and "Domain" not in cookie
    entered = proxy.manager.hear(ENTERED)
    secret = base64.urlsafe_b64decode(browser.cookies["amm-remote"] + "=")
    assert entered[26:58] == hashlib.sha256(secret).digest()
    status, fields, body = browser.ask("/any?thing", Referer=browser.origin + "/x", Origin=browser.origin,
                                       **{"X-Forwarded-For": "127.0.0.1"})
    sent = json.loads(body)
    assert status == 200 and sent["path"] == "/any?thing"
    assert field(sent["fields"], "Host") == ["192.168.13.31:9443"]
    assert field(sent["fields"], "Origin") == ["http://192.168.13.31:9443"]
    assert field(sent["fields"], "Referer") == ["http://192.168.13.31:9443/x"]
    assert not field(sent["fields"], "Cookie") and not field(sent["fields"], "X-Forwarded-For")
    assert field(fields, "Referrer-Policy") == ["same-origin"]


def test_cookies_of_the_page_stay_with_it(proxy):
    one, _ = proxy.gateway("10.4.32.7", "bus-1")
    two, _ = proxy.gateway("10.4.96.7", "bus-2")
    (_, first), (_, second) = opened(proxy, one), opened(proxy, two)
    for browser, name in ((first, "bus-1"), (second, "bus-2")):
        assert browser.ask("/name")[2].endswith(f"{name}\n".encode())
        assert browser.cookies["who"] == name
        sent = json.loads(browser.ask("/x")[2])
        assert sent["name"] == name and field(sent["fields"], "Cookie") == [f"who={name}"]


def test_redirects_and_what_reaches_too_far(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    _, browser = opened(proxy, where, host="192.168.13.31:9443")
    for path in ("/redirect/same", "/redirect/address"):
        status, fields, _ = browser.ask(path)
        assert status == 302 and field(fields, "Location") == [browser.origin + "/name"]
        assert field(fields, "Set-Cookie") == ["sid=1; Path=/"]
        assert not field(fields, "Strict-Transport-Security") and not field(fields, "Clear-Site-Data")


def test_links_of_the_page(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    _, browser = opened(proxy, where, host="192.168.13.31:9443")
    status, fields, body = browser.ask("/links")
    assert status == 200 and not field(fields, "Content-Length")
    assert body.decode() == f'<a href="{browser.origin}/name">' * 3000
    assert browser.ask("/links", "HEAD")[0] == 200


def test_a_leaked_link_and_a_used_ticket(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    session, browser = opened(proxy, where)
    other = proxy.browser(session)
    status, _, body = other.ask("/name")
    assert status == 403 and b"This browser has not entered here" in body and b"bus-1\n" not in body
    other.cookies["amm-remote"] = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    assert other.ask("/name")[0] == 403
    assert other.enter()[0] == 403
    assert other.enter(os.urandom(32))[0] == 403
    assert browser.ask("/name")[0] == 200
    stranger = proxy.browser(Remote(where))
    assert stranger.ask("/name")[0] == 404
    late = Remote(where)
    late.ticket_until = int(time.time()) - 1
    proxy.manager.add(late)
    assert wait("known", lambda: proxy.browser(late).enter()[0] in (403,))


def test_neighbours_may_not_ask(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    _, browser = opened(proxy, where)
    evil = f"http://{new_label()}.{DOMAIN}:{proxy.port}"
    assert browser.ask("/x", "POST", "a=b", Origin=evil)[0] == 403
    assert browser.ask("/x", **{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"})[0] == 403
    assert browser.ask("/sw.js", **{"Service-Worker": "script"})[0] == 403
    connection = browser.raw(WEBSOCKET.replace("{origin}", evil))
    assert head_of(connection).startswith("HTTP/1.1 403 ")


def test_the_end_cuts_everything(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    session, browser = opened(proxy, where)
    other_session, other = opened(proxy, where)
    socket_, download = browser.raw(WEBSOCKET), browser.raw(DOWNLOAD)
    kept = other.raw(WEBSOCKET)
    for connection in (socket_, kept):
        assert head_of(connection).startswith("HTTP/1.1 101 ")
        connection.sendall(b"hello")
        assert connection.recv(5, socket.MSG_WAITALL) == b"hello"
    assert head_of(download).startswith("HTTP/1.1 200 ")
    proxy.manager.end(session)
    until_closed(socket_)
    assert len(until_closed(download)) > 0
    assert proxy.manager.hear_end(session) == "logout"
    assert browser.ask("/name")[0] == 404
    kept.sendall(b"still")
    assert kept.recv(5, socket.MSG_WAITALL) == b"still"
    # another tunnel is another session, even at the same address
    other_session.epoch += 1
    proxy.manager.add(other_session)
    until_closed(kept)
    assert proxy.manager.hear_end(other_session) == "tunnel"


def test_leaving(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    session, browser = opened(proxy, where, reason="ticket 4711")
    status, _, body = browser.ask("/.amm/status")
    assert status == 200 and b"ticket 4711" in body
    connection = browser.raw(WEBSOCKET)
    head_of(connection)
    assert browser.ask("/.amm/leave", "POST", "")[0] == 200
    until_closed(connection)
    assert proxy.manager.hear_end(session) == "left"


def test_the_gateways_own_button(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1", 9443, False, "--acemanager")
    session, browser = opened(proxy, where, credentials=ASSERTION)
    browser.ask("/ended")
    assert proxy.manager.hear_end(session) == "gateway"


def test_signed_in_at_our_own(secure):
    where, _ = secure.gateway("10.4.32.7", "bus-1", 9443, True, "--acemanager")
    session, browser = opened(secure, where, scheme=HTTPS, credentials=ASSERTION, operator="Maria Schmidt")
    assert browser.cookies["__Host-ace"] == "login-of-Maria Schmidt"
    claim = json.loads(base64.urlsafe_b64decode(browser.cookies["claim"]))
    assert claim[:7] == ["amm-assertion-1", "TEST-0001", "0102030405060708", "Maria Schmidt", "user", "198.51.100.7",
                         session.label]
    assert 0 < int(claim[8]) - int(claim[7]) <= 30
    sent = json.loads(browser.ask("/x")[2])
    assert field(sent["fields"], "Cookie")[0].startswith("__Host-ace=login-of-Maria Schmidt; claim=")
    assert "amm-remote" not in str(sent)
    key = secure.manager.hear(KEY)
    assert key[:26] == session.label.encode() and key[58] == 0
    # one that does not know us: the page in words, and the way on by hand
    where, _ = secure.gateway("10.4.96.7", "bus-2", 9443, True)
    session = secure.manager.add(Remote(where, HTTPS, credentials=ASSERTION))
    browser = secure.browser(session)
    status, _, body = browser.enter()
    assert status == 502 and b"did not sign you in" in body and b"does not know the server yet" in body
    assert browser.ask("/name")[0] == 200


def test_stored_credentials(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    _, browser = opened(proxy, where, credentials=BASIC, user="admin", secret="geheim")
    sent = json.loads(browser.ask("/x")[2])
    assert field(sent["fields"], "Authorization") == ["Basic " + base64.b64encode(b"admin:geheim").decode()]


def test_view_only(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    _, browser = opened(proxy, where, view_only=True)
    assert browser.ask("/name")[0] == 200
    status, _, body = browser.ask("/name", "POST", "a=b")
    assert status == 403 and b"may only look" in body


def test_another_key_gets_nothing(proxy):
    where, page = proxy.gateway("10.4.32.7", "bus-1", 9443, True)
    session, browser = opened(proxy, where, scheme=HTTPS)
    assert browser.ask("/name")[0] == 200
    key = proxy.manager.hear(KEY)
    session.pin = key[26:58]
    page.kill()
    page.wait()
    proxy.page("10.4.32.7", "thief", 9443, True)
    status, _, body = browser.ask("/name")
    assert status == 502 and b"shows another key" in body and not body.endswith(b"thief\n")
    told = proxy.manager.hear(KEY)
    assert told[58] == 1 and told[26:58] != session.pin
    session.pin = told[26:58]  # an operator accepts it
    proxy.manager.add(session)
    wait("accepted", lambda: browser.ask("/name")[2].endswith(b"thief\n"))


def test_pages_for_what_goes_wrong(proxy):
    proxy.in_namespace("ip", "address", "replace", "10.4.32.7/32", "dev", "lo")
    _, browser = opened(proxy, ("10.4.32.7", 9443))
    status, fields, body = browser.ask("/")
    assert status == 502 and b"does not answer" in body and b"Try again" in body
    assert "default-src 'none'" in field(fields, "Content-Security-Policy")[0]
    where, _ = proxy.gateway("10.4.96.7", "bus-2")
    _, browser = opened(proxy, where, scheme=HTTPS)
    status, _, body = browser.ask("/")
    assert status == 502 and b"TLS" in body


def test_a_restarted_proxy_knows_its_browsers(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    session, browser = opened(proxy, where)
    session.cookie = proxy.manager.hear(ENTERED)[26:58]
    session.ticket = None
    proxy.stop(signal.SIGKILL)
    proxy.start()
    wait("back", lambda: browser.ask("/name")[0] == 200)


def test_without_ammd(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    session, browser = opened(proxy, where)
    session.cookie = proxy.manager.hear(ENTERED)[26:58]
    proxy.manager.close()
    assert browser.ask("/name")[0] == 200
    proxy.manager.open()
    proxy.manager.hear(32)
    assert browser.ask("/name")[0] == 200


@pytest.mark.slow
def test_without_ammd_for_long(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    _, browser = opened(proxy, where)
    proxy.manager.close()
    status, _, body = wait("refused", lambda: (lambda got: got if got[0] == 503 else None)(browser.ask("/name")), seconds=40)
    assert b"waits for the manager" in body
    proxy.manager.open()
    proxy.manager.hear(32)
    wait("back", lambda: browser.ask("/name")[0] != 503)


def test_the_record(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1")
    session, browser = opened(proxy, where)
    browser.ask("/save?password=geheim", "POST", "secret=geheim")
    proxy.browser(session).ask("/name")
    rows = wait("told", lambda: (lambda rows: rows if len(rows) >= 3 else None)(proxy.manager.requests()))
    assert {(row[1], row[2], row[3], row[4]) for row in rows} >= {(4, 200, "POST", "/.amm/enter"), (1, 200, "POST", "/save"),
                                                                (3, 403, "GET", "/name")}
    [save] = [row for row in rows if row[4] == "/save"]
    assert save[5] == len("secret=geheim") and save[6] > 0
    assert "geheim" not in str(rows)


def test_the_test_of_a_page(proxy):
    where, _ = proxy.gateway("10.4.32.7", "bus-1", 9443, True, "--login")

    def ask(number, where, scheme=HTTPS, milliseconds=5000, pin=None):
        with proxy.manager.lock:
            proxy.manager.send(TEST, struct.pack(">Q", number) + address(where) + bytes([scheme, 0x1f])
                               + struct.pack(">I", milliseconds) + text("") + optional(pin))
        body = proxy.manager.hear(RESULT, lambda body: struct.unpack(">Q", body[:8])[0] == number)
        at = 41 if body[8] else 9
        steps, n, at = {}, body[at], at + 1
        for _ in range(n):
            step, verdict, _, size = struct.unpack(">BBIH", body[at:at + 8])
            steps[("ping", "tcp", "tls", "page", "mtu")[step]] = (verdict, body[at + 8:at + 8 + size].decode())
            at += 8 + size
        return steps

    steps = ask(1, where)
    assert {name: verdict for name, (verdict, _) in steps.items()} == dict.fromkeys(("ping", "tcp", "tls", "page", "mtu"), 1)
    assert 'title is "Page of bus-1"' in steps["page"][1] and "1500" in steps["mtu"][1]
    steps = ask(2, ("10.4.32.7", 9444), milliseconds=1000)
    assert steps["ping"][0] == 1 and steps["tcp"][0] == 2 and steps["page"][0] == 3
    steps = ask(3, where, pin=bytes(32))
    assert steps["tls"][0] == 2 and "another key" in steps["tls"][1]
    proxy.in_namespace("ip", "route", "add", "blackhole", "10.4.160.0/24")
    steps = ask(4, ("10.4.160.7", 9443), milliseconds=500)
    assert steps["ping"][0] == 2 and steps["tcp"][0] == 2


def test_it_ends_when_the_namespace_is_made_anew(proxy):
    run("ip", "netns", "delete", proxy.namespace)
    assert proxy.process.poll() is None  # the tunnels may come back
    run("ip", "netns", "add", proxy.namespace)
    assert proxy.process.wait(20) == 1
    assert "namespace-replaced" in proxy.log.read_text()
    proxy.start()


def test_another_certificate(secure):
    where, _ = secure.gateway("10.4.32.7", "bus-1")
    _, browser = opened(secure, where)
    before = secure.open().getpeercert(binary_form=True)
    secure.make_certificate("second")
    secure.process.send_signal(signal.SIGHUP)
    wait("reloaded", lambda: secure.open().getpeercert(binary_form=True) != before)
    assert browser.ask("/name")[0] == 200
    (secure.folder / "proxy.crt").write_text("nothing")
    secure.process.send_signal(signal.SIGHUP)
    wait("said", lambda: "reload-failed" in secure.log.read_text())
    assert browser.ask("/name")[0] == 200


def swap_pages(proxy, turns, browsers):
    """Two gateways take each other's address again and again, and each time ammd opens sessions anew. No browser ever
    sees another page than the one it was opened for."""
    places, names = ("10.4.32.7", "10.4.96.7"), ["bus-1", "bus-2"]
    seen, wrong, stop = [0, 0], [], threading.Event()
    pages = [proxy.gateway(ip, name)[1] for ip, name in zip(places, names)]
    current = [None, None]

    def look(which):
        while not stop.is_set():
            browser = current[which]
            if browser is None:
                time.sleep(0.001)
                continue
            try:
                status, _, body = browser.ask("/name")
            except OSError:
                continue
            if status == 200:
                seen[which] += 1
                if not body.endswith(f"{('bus-1', 'bus-2')[which]}\n".encode()):
                    wrong.append(body)

    threads = [threading.Thread(target=look, args=(i % 2,)) for i in range(browsers)]
    for thread in threads:
        thread.start()
    for turn in range(turns):
        sessions = []
        for which in (0, 1):
            place = (which + turn) % 2
            session = proxy.manager.add(Remote((places[place], 9443), epoch=turn * 2 + which + 1))
            browser = proxy.browser(session)
            wait("entered", lambda: browser.enter()[0] == 200, pause=0.001)
            sessions.append(session)
            before = seen[which]
            current[which] = browser
            if turn % 50 == 0:
                wait("seen", lambda: seen[which] > before)
        # The tunnels end, so do the sessions; then the addresses change hands.
        for session in sessions:
            proxy.manager.end(session, 8)
        for session in sessions:
            proxy.manager.hear_end(session)
        pages = exchange(proxy, pages, places, turn)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert min(seen) > 0


def exchange(proxy, pages, places, turn):
    """Both pages under load move to the other address: the processes stay, and change their names."""
    for page in pages:
        page.send_signal(signal.SIGUSR1)
    for page in pages:
        assert page.stdout.readline() == "swapped\n"
    return pages


def test_swapped_slots(proxy):
    swap_pages(proxy, 20, 4)


@pytest.mark.slow
def test_a_thousand_swapped_slots(proxy):
    swap_pages(proxy, 1000, 4)

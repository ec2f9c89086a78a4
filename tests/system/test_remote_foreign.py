"""Remote access to what integrators find behind routers that are not ours: web UIs from Debian that are known to be
difficult, each behind the stock openvpn with a connection file, driven in chromium to a change that it saves.

    jupyter      WebSockets; checks Origin and _xsrf
    qbittorrent  checks Host, Origin and Referer against each other; every instance has the same cookie name
    syncthing    answers plain HTTP with redirects to absolute https links; Basic authentication; named CSRF tokens"""
import os

import pytest
from fleet import FleetServer, story
from lab import OPENVPN, Lab, wait

PASSWORD = "first-secret"
QBITTORRENT = """\
[LegalNotice]
Accepted=true
[Preferences]
WebUI\\Port=8080
WebUI\\Address=*
WebUI\\HostHeaderValidation=true
WebUI\\ServerDomains={address}
"""


@pytest.fixture(scope="module")
def fleet(browser):
    lab = Lab()
    server = FleetServer(lab, tunneld="remote-ports = 443 8080 8384 8888").start()
    server.start_proxyd()
    server.group("routers")
    server.browser = browser
    yield server
    lab.close()


class Router:
    """Another maker's router with the application as its page."""

    def __init__(self, fleet, n, application, scheme, port):
        self.fleet, self.name, self.lab = fleet, f"{application}-{n}", fleet.lab
        self.namespace = self.lab.gateway(n)
        self.folder = self.lab.folder / self.name
        self.folder.mkdir()
        fleet.ctl("gateway", "add", self.name, "--kind", "openvpn", "--group", "routers", "--port", "1191")
        fleet.ctl("gateway", "profile", self.name, "--remote", "10.99.0.1", "--output", self.folder / "router.ovpn")
        self.id = fleet.show(self.name)["id"]
        self.page(scheme, port)
        self.tunnel = self.lab.start(self.namespace, OPENVPN, "--config", self.folder / "router.ovpn", "--dev", "tun0", name=f"openvpn-{n}")
        self.address = wait(lambda: f"{self.name} is up\n{self.tunnel.log}", lambda: fleet.is_up(self.name), 40)
        self.process = None

    def page(self, scheme, port):
        status, answer = self.fleet.api("PATCH", f"/gateways/{self.id}", {"page_scheme": scheme, "page_port": port})
        assert status == 200, answer

    def serve(self, *argv, port, **environment):
        self.process = self.lab.start(self.namespace, *argv, name=self.name, cwd=self.folder,
                                      env=dict(os.environ) | {"HOME": str(self.folder)} | environment)
        listening = f":{port:04X} 00000000:0000 0A"
        tables = ("/proc/net/tcp", "/proc/net/tcp6")
        wait(lambda: f"{self.name} listens\n{self.process.log[-2000:]}",
             lambda: any(listening in self.lab.exec(self.namespace, "cat", table).stdout.replace("0" * 24, "") for table in tables), 40)

    def open(self):
        """(base, enter, ticket) of a new remote session."""
        status, session = self.fleet.api("POST", f"/gateways/{self.id}/remote-sessions", {"reason": "trial"})
        assert status == 201, session
        return session["url"].rstrip("/"), session["enter"], session["ticket"]

    def drive(self, application):
        """What the application was made to save."""
        done = self.lab.exec(self.lab.srv, "node", self.fleet.browser / "foreign.mjs", application, *self.open(), check=False, timeout=120)
        assert done.returncode == 0, f"{done.stderr}\n{self.fleet.story()}\n{self.process.log[-2000:]}"
        return done.stdout.strip()


def jupyter(fleet, n):
    router = Router(fleet, n, "jupyter", "http", 8888)
    hashed = fleet.lab.exec(router.namespace, "/usr/bin/python3", "-c",
                            f"from notebook.auth import passwd; print(passwd({PASSWORD!r}, 'sha1'))").stdout.strip()
    router.serve("/usr/bin/python3", "-m", "notebook", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--allow-root",
                 f"--notebook-dir={router.folder}", f"--NotebookApp.password={hashed}", port=8888)
    return router


def qbittorrent(fleet, n):
    router = Router(fleet, n, "qbittorrent", "http", 8080)
    folder = router.folder / "qBittorrent" / "config"
    folder.mkdir(parents=True)
    (folder / "qBittorrent.conf").write_text(QBITTORRENT.format(address=router.address))
    router.saved = lambda: (folder / "qBittorrent.conf").read_text()
    router.serve("qbittorrent-nox", f"--profile={router.folder}", port=8080)
    return router


def syncthing(fleet, n):
    router = Router(fleet, n, "syncthing", "https", 8384)
    home = f"--home={router.folder}"
    fleet.lab.exec(router.namespace, "env", f"HOME={router.folder}", "syncthing", "generate", home, "--gui-user=admin",
                   f"--gui-password={PASSWORD}", "--no-default-folder")
    config = router.folder / "config.xml"
    config.write_text(config.read_text().replace('tls="false"', 'tls="true"').replace("<address>127.0.0.1:8384<", "<address>0.0.0.0:8384<"))
    router.saved = config.read_text
    router.serve("syncthing", "serve", home, "--no-browser", "--no-restart", port=8384, STNOUPGRADE="1")
    return router


@story
def test_websockets(fleet):
    router = jupyter(fleet, 11)
    value = router.drive("jupyter")
    assert (router.folder / "saved.txt").read_text() == value


@story
def test_host_origin_and_referer(fleet):
    router = qbittorrent(fleet, 12)
    value = router.drive("qbittorrent")
    wait("it is saved", lambda: value in router.saved())


@pytest.mark.slow  # on a busy machine its own page does not always take a click in time
@story
def test_absolute_links_and_basic(fleet):
    router = syncthing(fleet, 13)
    status, answer = fleet.api("PUT", f"/gateways/{router.id}/page-credentials", {"type": "basic", "user": "admin", "password": PASSWORD})
    assert status in (200, 204), answer
    value = router.drive("syncthing")
    wait("it is saved", lambda: f'name="{value}"' in router.saved())
    # A record that says http: it is told what to write into the record, no loop.
    router.page("http", 8384)
    base, enter, ticket = router.open()
    done = fleet.lab.exec(fleet.lab.srv, "node", fleet.browser / "foreign.mjs", "text", base, enter, ticket, check=False, timeout=60)
    assert "the scheme" in done.stdout, done.stdout + done.stderr


@story
def test_same_cookie_names(fleet):
    """Two of one kind at once, in one browser."""
    routers = [qbittorrent(fleet, 14), qbittorrent(fleet, 15)]
    words = [word for router in routers for word in router.open()]
    done = fleet.lab.exec(fleet.lab.srv, "node", fleet.browser / "foreign.mjs", "two", *words, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    values = done.stdout.split()
    for n, router in enumerate(routers):
        wait("it is saved", lambda: values[n] in router.saved())
        assert values[1 - n] not in router.saved()

"""ammd with a fleet of 100 000 made-up gateways, on loopback."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "system"))
from manager import Client, Manager  # noqa: E402

from _figures import say  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[1]
TOOLS = TOP / "build" / "bench"
GATEWAYS = 100_000
CERTIFICATES = 6000  # that many can check in
AT_A_TIME = 480      # of them in one run of checkin_load
SESSIONS = 120_000   # that ammd's cache of TLS sessions holds (src/manager/front.c)


class Fleet:
    """Made once and served as installed: TLS, certificates checked, SQLite with synchronous=FULL, user without rights."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="amm-bench-"))
        self.gateways = self.folder / "certificates"
        self.used = 0
        self.manager = Manager(self.folder)
        config = self.manager.config
        config.write_text(f"gateways = {self.folder}/db/gateways.conf\ncrl = {self.folder}/db/crl.pem\n" + config.read_text())
        try:
            self.make()
        except BaseException:
            self.close()
            raise

    def make(self):
        self.manager.start()  # makes the database
        self.manager.stop()
        say(f"making {GATEWAYS} gateways")
        subprocess.run([TOOLS / "fleet_fixture", self.manager.database, self.folder / "pki", str(GATEWAYS),
                        str(CERTIFICATES), self.gateways], check=True)
        for path in (self.manager.database.parent, *self.manager.database.parent.iterdir()):
            shutil.chown(path, "nobody", "nogroup")
        self.manager.start()
        assert self.api().get("/api/v1/gateways?limit=1&total=true").json["total"] == GATEWAYS

    def api(self):
        """A new connection, as root on the unix socket; an idle one is closed after a minute."""
        return Client(self.manager, local=True)

    @property
    def pid(self):
        return self.manager.process.pid

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text())[1])

    def counter(self, name):
        """The sum of a metric's rows."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.manager.metrics}/metrics") as answer:
            text = answer.read().decode()
        found = re.findall(rf"(?m)^\w*{name}(?:\{{[^}}]*\}})? (\S+)$", text)
        assert found, f"{name} is not among the metrics"
        return sum(map(float, found))

    def load(self, *phases, threads=2):
        """Runs checkin_load with gateways that have not been used yet; its lines, one a phase."""
        if self.used + AT_A_TIME > CERTIFICATES:
            self.used = 0  # their allowance of check-ins has grown again
        done = subprocess.run(
            [TOOLS / "checkin_load", "--server", f"127.0.0.1:{self.manager.gateways}", "--ca",
             self.folder / "pki" / "server-ca.crt", "--gateways", self.gateways, "--skip", str(self.used), "--pid",
             str(self.pid), "--threads", str(threads), *phases], capture_output=True, text=True, timeout=600)
        self.used += AT_A_TIME
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, f"checkin_load: {[line['error'] for line in lines]} {done.stderr}"
        return {line["kind"]: line for line in lines}

    def close(self):
        self.manager.close()
        shutil.rmtree(self.folder, ignore_errors=True)

"""./amm bench access: the way of a browser through amm-proxyd. What each figure means stands in bench/README.md."""
import argparse
import json
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import tempfile

from _figures import Figures, say

TOP = pathlib.Path(__file__).resolve().parents[1]
PROXY, LOAD = TOP / "build" / "src" / "proxyd" / "amm-proxyd", TOP / "build" / "bench" / "access_load"
SESSIONS = 1000
FILES = 16384


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Access:
    """amm-proxyd as installed (user without rights, system call filter, TLS on both sides), but for the namespace: it and
    everything around it are on loopback. What is not the proxy is one program, bench/access_load."""

    def __init__(self, sessions):
        self.folder, self.sessions = pathlib.Path(tempfile.mkdtemp(prefix="amm-bench-")), sessions
        self.folder.chmod(0o755)
        self.browsers, self.socket = f"127.0.0.1:{free_port()}", self.folder / "remote.sock"
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        key, "-out", certificate, "-days", "2", "-subj", "/CN=*.localhost", "-addext",
                        "subjectAltName=DNS:*.localhost"], check=True, capture_output=True)
        self.config = self.folder / "amm.conf"
        self.config.write_text(f"""\
isolation-namespace = no
proxy-user = nobody
[manager]
user = root
[remote-access]
listen = {self.browsers}
certificate = {certificate}
key = {key}
assertion-key = {self.folder}/none.key
socket = {self.socket}
""")

    def run(self, *phases):
        """The lines of access_load, one a phase."""
        load = subprocess.Popen([LOAD, "--socket", self.socket, "--browsers", self.browsers, "--sessions", str(self.sessions),
                                 *phases], stdout=subprocess.PIPE, text=True)
        proxy = None
        try:
            assert load.stdout.readline(), "access_load does not start"
            with (self.folder / "proxy.log").open("wb") as log:
                proxy = subprocess.Popen([PROXY, "--config", self.config], stderr=log, preexec_fn=more_files)
            lines = [json.loads(line) for line in load.stdout]
            assert load.wait() == 0, f"access_load failed; amm-proxyd says:\n{(self.folder / 'proxy.log').read_text()[-2000:]}"
            return lines
        finally:
            for process in (proxy, load):
                if process and process.poll() is None:
                    process.terminate()
                    process.wait()

    def close(self):
        shutil.rmtree(self.folder)


def more_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


def measure(runs, sessions, *phases):
    lines = []
    for _ in range(runs):
        access = Access(sessions)
        try:
            lines += access.run(*phases)
        finally:
            access.close()
    return lines


def latency(figures, args):
    lines = measure(args.runs, 1, f"latency:{200 if args.brief else 2000}")
    for name in ("p50", "p99"):
        added = [line[f"proxied_{name}"] - line[f"direct_{name}"] for line in lines]
        figures.add(f"proxy_added_{name}_ms", "ms", "lower", added, limit=2)


def download(figures, args):
    mib = 64 if args.brief else 1024
    lines = measure(args.runs, 1, f"download:{mib}", f"upload:{mib}")
    rates = {phase: [line["mib"] * 8.388608 / line["seconds"] for line in lines if line["phase"] == phase]
             for phase in ("download", "upload")}
    figures.add("proxy_1gib_rss_mib", "MiB", "lower", [line["peak_kib"] / 1024 for line in lines if line["phase"] == "upload"])
    figures.add("proxy_1gib_mbit_s", "Mbit/s", "higher", rates["download"])
    figures.add("proxy_1gib_up_mbit_s", "Mbit/s", "higher", rates["upload"])


def many(figures, args):
    lines = measure(args.runs, 100 if args.brief else SESSIONS, f"sessions:{2 if args.brief else 20}")
    per_core = [line["sessions"] * line["seconds"] / line["cpu"] for line in lines]
    figures.add("proxy_sessions_per_core", "sessions", "higher", per_core, limit=SESSIONS)


GROUPS = {"latency": latency, "download": download, "sessions": many}


def main():
    parser = argparse.ArgumentParser(prog="./amm bench access")
    parser.add_argument("--only", choices=GROUPS, action="append", help="a part of it")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--brief", action="store_true", help="a tenth of everything: shows that it works; writes nothing")
    args = parser.parse_args()
    figures, failed = Figures("./amm bench access"), []
    if args.brief:
        figures.add = lambda figure, unit, better, ours, limit=None: say(f"{figure} {ours} {unit}")
    for name in args.only or GROUPS:
        try:
            GROUPS[name](figures, args)
        except (AssertionError, subprocess.SubprocessError) as error:
            failed.append(name)
            say(f"{name} failed: {error}")
    good = args.brief or figures.end()
    if failed:
        print("not measured: " + " ".join(failed))
    sys.exit(0 if good and not failed else 1)


main()

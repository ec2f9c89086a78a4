"""./amm bench gateway: what our software takes on a router. What each figure means stands in bench/README.md."""
import argparse
import pathlib
import signal
import subprocess
import sys
import time

from _figures import Figures, say
from _gateway import Stack
from _stacks import BIN, pss_kib, run, wait

TOP = pathlib.Path(__file__).resolve().parents[1]
LIMITS = {"acemanager": {"binary": 1024, "pss": 12}, "ammer": {"binary": 400, "pss": 4}}
SETTLED_S = 15  # behind the tunnel and the last check-in: what was needed for starting is given back


def binaries(figures, runs):
    for program, limit in LIMITS.items():
        stripped = TOP / "var" / f"bench-{program}"
        run("strip", "-o", stripped, BIN / program)
        figures.add(f"{program}_binary_kib", "KiB", "lower", [stripped.stat().st_size / 1024], limit=limit["binary"])
        stripped.unlink()


def log_in(stack):
    """What an operator does: logs in on the LAN, opens a page."""
    label = stack.lab.folder / "gateway" / "state" / "page-label"
    stack.lab.exec(stack.namespace, "/usr/bin/python3", TOP / "lab" / "acemanager.py", "192.168.13.31", label, "then", "nothing")


def memory(figures, runs):
    found = {program: [] for program in LIMITS}
    for _ in range(runs):
        stack = Stack(tunnel=True, alone=True)
        try:
            wait(lambda: f"tunnel\n{stack.process.log}", lambda: "ManagementTunnel-IPAddress" in stack.show().get("stats", {}), 60, 0.2)
            log_in(stack)
            time.sleep(SETTLED_S)
            for program in LIMITS:
                pids = stack.pids(program)
                assert len(pids) == (2 if program == "acemanager" else 1), f"{program}: {len(pids)} processes"
                found[program].append(pss_kib(pids) / 1024)
        finally:
            stack.close()
    for program, limit in LIMITS.items():
        figures.add(f"{program}_pss_mib", "MiB", "lower", found[program], limit=limit["pss"])


GROUPS = {"binary": binaries, "memory": memory}


def end_cleanly(number, frame):
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    options = argparse.ArgumentParser(prog="./amm bench gateway")
    options.add_argument("--runs", type=int, default=3, help="of memory")
    options.add_argument("--only", choices=GROUPS, action="append", help="this group; may be given several times")
    given = options.parse_args()
    figures, begin, failed = Figures("./amm bench gateway"), time.monotonic(), []
    signal.signal(signal.SIGTERM, end_cleanly)
    for name in given.only or GROUPS:
        try:
            GROUPS[name](figures, given.runs)
            say(f"{name} done after {time.monotonic() - begin:.0f} s")
        except (AssertionError, subprocess.SubprocessError) as error:
            failed.append(name)
            say(f"{name} failed: {error}")
    good = figures.end()
    if failed:
        print("not measured: " + " ".join(failed))
    sys.exit(0 if good and not failed else 1)


main()

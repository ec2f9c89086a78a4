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


def pss_of(alone):
    """MiB of each program, with its tunnel up and somebody logged in on the page. acemanager is two processes: the core, and
    a small parent that may what the core may not."""
    stack = Stack(tunnel=True, alone=alone)
    try:
        wait(lambda: f"tunnel\n{stack.process.log}", lambda: "ManagementTunnel-IPAddress" in stack.show().get("stats", {}), 60, 0.2)
        log_in(stack)
        time.sleep(SETTLED_S)
        found = {program: stack.pids(program) for program in LIMITS}
        assert {program: len(pids) for program, pids in found.items()} == {"acemanager": 2, "ammer": 1}, found
        return {program: pss_kib(pids) / 1024 for program, pids in found.items()}
    finally:
        stack.close()


def memory(figures, runs):
    beside = [pss_of(alone=False) for _ in range(runs)]
    alone = [pss_of(alone=True) for _ in range(runs)]
    for program, limit in LIMITS.items():
        figures.add(f"{program}_pss_mib", "MiB", "lower", [one[program] for one in beside], limit=limit["pss"])
        figures.add(f"{program}_alone_pss_mib", "MiB", "lower", [one[program] for one in alone])


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

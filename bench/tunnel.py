"""./amm bench tunnel: our server beside Debian's OpenVPN, in one run, in the same namespaces, with the same cipher.

Each figure is measured in turn, ours and theirs, because the machine's speed drifts. OpenVPN gets what its users tune
(big socket buffers, fast-io). What each figure means stands in bench/README.md."""
import argparse
import signal
import sys
import time

from _figures import Figures, say
from _many import all_idle, many, sessions, storm
from _one import bulk, idle_bytes, rtt, small_packets
from _stacks import Lab, Pki

GROUPS = {"bulk": bulk, "rtt": rtt, "small_packets": small_packets, "sessions": sessions, "many": many,
          "idle_bytes": idle_bytes, "all_idle": all_idle, "storm": storm}


def end_cleanly(number, frame):
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)  # so that the clean-up of each group runs, once


def main():
    options = argparse.ArgumentParser(prog="./amm bench tunnel")
    options.add_argument("--runs", type=int, default=3, help="of the cheap groups; all_idle, storm and idle_bytes run once")
    options.add_argument("--only", choices=GROUPS, action="append", help="this group; may be given several times")
    given = options.parse_args()
    figures, begin = Figures("./amm bench tunnel"), time.monotonic()
    signal.signal(signal.SIGTERM, end_cleanly)
    folder, failed = Lab(), []
    try:
        pki = Pki(folder.folder / "pki")
        print(f"{'figure':26} {'unit':12} {'ours: min / median / max':30} {'peer: min / median / max':30}", flush=True)
        for name in given.only or GROUPS:
            try:
                GROUPS[name](figures, pki, given.runs)
                say(f"{name} done after {time.monotonic() - begin:.0f} s")
            except AssertionError as error:  # the other groups are still worth their time
                failed.append(name)
                say(f"{name} failed: {error}")
    finally:
        folder.close()
    good = figures.end()
    if failed:
        print("not measured: " + " ".join(failed))
    sys.exit(0 if good and not failed else 1)


main()

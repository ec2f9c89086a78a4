"""./amm bench manager: ammd with 100 000 gateways. What each figure means stands in bench/README.md."""
import argparse
import random
import signal
import statistics
import sys
import time

from _figures import Figures, say
from _gateway import checkin_sizes
from _manager import SESSIONS, Fleet

MIB = 1024

# What operators ask for. `{}` is a cursor, where the query is asked for a page in the middle of the list.
LISTS = {
    "first page": "limit=100",
    "page in the middle": "limit=100&after={}",
    "page with 20 stats": "limit=100&stats=SoftwareVersion,Platform,SerialNumber,BootReason,ResetCount,CurrentWANInterface,"
                          "LAN-Prefixes,WAN-Prefixes,AMMER-Version,CellLink-RadioFirmwareVersion,CellLink-CurrentNetworkOperator,"
                          "CellLink-ICCID,CellLink-RSSI,CellLink-RSRQ,CellLink-RSRP,CellLink-SINR,CellLink-NetworkServiceType,"
                          "CellLink-IPAddress,IMEI,AssetTemperature",
    "1000 rows": "limit=1000&stats=CellLink-RSSI,Platform",
    "one stat, sorted by it, total": "limit=100&total=true&stat=CellLink-RSSI%3C-105&sort=stat:CellLink-RSSI&stats=CellLink-RSSI",
    "three stats and a state": "limit=100&total=true&late=false&stat=Platform%3DRV50;CellLink-RSSI%3C-90;AssetTemperature/enclosure%3E40",
    "sorted by a stat, all": "limit=100&sort=stat:CellLink-SINR&order=desc",
    "sorted by last check-in, all": "limit=100&sort=last_checkin&order=desc",
    "late": "limit=100&total=true&late=true",
    "group": "limit=100&total=true&group=37",
    "text, many": "limit=100&total=true&text=999",
    "text, none": "limit=100&total=true&text=no-such-thing",
}
COUNTS = {
    "counts of all": "",
    "counts by a stat": "stat=CellLink-NetworkServiceType%3DUMTS",
}


def p95(values):
    return statistics.quantiles(values, n=20)[-1]


def ask_ms(api, path):
    begin = time.perf_counter()
    answer = api.get(path)
    took = (time.perf_counter() - begin) * 1000
    assert answer.status == 200, f"{path}: {answer}"
    return took


def lists(figures, fleet, runs, rounds=40):
    """All queries in random order, one at a time, as an operator's console asks."""
    api, middle = fleet.api(), ""
    for _ in range(20):
        middle = api.get(f"/api/v1/gateways?limit=1000&after={middle}" if middle else "/api/v1/gateways?limit=1000").json["next"]
    paths = {name: "/api/v1/gateways?" + query.format(middle) for name, query in LISTS.items()}
    paths |= {name: "/api/v1/gateways/counts?" + query for name, query in COUNTS.items()}
    all_p95, worst_p95 = [], []
    for _ in range(runs):
        took = {name: [] for name in paths}
        order = [name for name in paths for _ in range(rounds)]
        random.Random(1).shuffle(order)
        for name in order:
            took[name].append(ask_ms(api, paths[name]))
        each = {name: p95(values) for name, values in took.items()}
        all_p95.append(p95([value for values in took.values() for value in values]))
        worst = max(each, key=each.get)
        worst_p95.append(each[worst])
        say("p95 in ms: " + "; ".join(f"{name} {value:.1f}" for name, value in each.items()))
    figures.add("list_100k_p95_ms", "ms", "lower", all_p95, limit=50)
    figures.add("list_100k_worst_p95_ms", "ms", "lower", worst_p95, limit=50)


def checkins(figures, fleet, runs):
    """New connections with full handshakes, with resumed sessions, and connections that are kept; then a few at a time."""
    taken, done = fleet.counter("checkins_total"), 0
    found = {"full": [], "resumed": [], "kept": []}
    slow, usual, first = [], [], []
    for _ in range(runs):
        lines = [fleet.load("first:480:32", phase) for phase in ("full:4000:64", "resumed:9000:128", "kept:12000:480")]
        for line, kind in zip(lines, found):
            found[kind].append(line[kind]["per_cpu_s"])
            say(f"{kind}: {line[kind]['per_cpu_s']:.0f} for a CPU second of ammd, {line[kind]['per_s']:.0f} a second on this "
                f"machine, p95 {line[kind]['p95_ms']:.0f} ms")
        few = fleet.load("first:480:32", "resumed:2000:2")
        slow.append(few["resumed"]["p95_ms"])
        usual.append(few["resumed"]["bytes_up"] + few["resumed"]["bytes_down"])
        first.append(few["first"]["bytes_up"] + few["first"]["bytes_down"])
        done += sum(one["checkins"] for line in (*lines, few) for one in line.values())
    assert fleet.counter("checkins_total") - taken == done, "ammd has counted others than were answered"
    figures.add("checkin_per_s", "1/core-s", "higher", found["resumed"], limit=2000)
    figures.add("checkin_full_per_s", "1/core-s", "higher", found["full"], limit=750)
    figures.add("checkin_kept_per_s", "1/core-s", "higher", found["kept"])
    figures.add("checkin_p95_ms", "ms", "lower", slow)
    figures.add("checkin_usual_bytes", "B", "lower", usual)
    figures.add("checkin_full_bytes", "B", "lower", first, limit=6000)


def until(api, number, state):
    """Polls an import as the console does; the seconds that are measured are those until it is so."""
    while (one := api.get(f"/api/v1/imports/{number}").json)["state"] != state:
        assert one["state"] in ("reading", "applying"), one
        time.sleep(0.01)
    return one


def imports(figures, fleet, runs):
    """A sheet of 10 000 of the 100 000 gateways: two settings and a note each, other ones in each run; then taken back."""
    api, rows = fleet.api(), 10_000
    names = api.get("/api/v1/export.csv?columns=name").bytes.decode().split("\r\n")[1:rows + 1]
    preview, applied = [], []
    for run in range(runs):
        sheet = "name,60003,1154,note\n" + "".join(f"{name},{601 + (run + i) % 97},Bus {run}-{i},line {run}\n"
                                                   for i, name in enumerate(names))
        begin = time.perf_counter()
        made = api.ask("POST", "/api/v1/imports?filename=bench.csv", raw=sheet.encode())
        assert made.status == 201, made
        number = made.json["id"]
        ready = until(api, number, "ready")
        preview.append(time.perf_counter() - begin)
        assert ready["rows"]["good"] == rows, ready["rows"]
        begin = time.perf_counter()
        assert api.post(f"/api/v1/imports/{number}/apply").status == 202
        done = until(api, number, "applied")
        applied.append(time.perf_counter() - begin)
        assert done["rows"]["applied"] == rows, done["rows"]
        assert api.post(f"/api/v1/imports/{number}/undo").status == 202
        until(api, number, "undone")
        say(f"import: preview {preview[-1]:.2f} s, applied {applied[-1]:.2f} s")
    figures.add("import_preview_10k_s", "s", "lower", preview, limit=2)
    figures.add("import_10k_s", "s", "lower", applied, limit=5)


def memory(figures, fleet, runs):
    """RSS with all gateways, after lists and check-ins, with the cache of TLS sessions full: each full handshake leaves one."""
    start = fleet.rss_kib()
    say(f"{start / MIB:.0f} MiB; filling the cache of TLS sessions: {SESSIONS} full handshakes")
    api, sessions = fleet.api(), 0
    for _ in range(20):
        ask_ms(api, "/api/v1/gateways?limit=1000&sort=stat:CellLink-RSSI")
    while sessions < SESSIONS:
        sessions += sum(line["checkins"] for line in fleet.load("first:480:64", "full:9600:64").values())
    end = fleet.rss_kib()
    say(f"{end / MIB:.0f} MiB with {SESSIONS} sessions")
    figures.add("ammd_rss_100k_mib", "MiB", "lower", [end / MIB], limit=300)


def sizes(figures, runs):
    """An unchanged acemanager and ammd in network namespaces; packets are counted on the way between them."""
    first, idle = checkin_sizes()
    figures.add("checkin_bytes", "B", "lower", [one.payload for one in idle], limit=1500)
    figures.add("checkin_ip_bytes", "B", "lower", [one.all for one in idle])
    figures.add("checkin_first_bytes", "B", "lower", [first.payload], limit=6000)
    figures.add("checkin_first_ip_bytes", "B", "lower", [first.all])


GROUPS = {"list": lists, "import": imports, "checkin": checkins, "memory": memory, "bytes": sizes}


def end_cleanly(number, frame):
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    options = argparse.ArgumentParser(prog="./amm bench manager")
    options.add_argument("--runs", type=int, default=3, help="of list and checkin")
    options.add_argument("--only", choices=GROUPS, action="append", help="this group; may be given several times")
    given = options.parse_args()
    figures, begin = Figures("./amm bench manager"), time.monotonic()
    signal.signal(signal.SIGTERM, end_cleanly)
    wanted, failed, fleet = given.only or list(GROUPS), [], None
    try:
        for name in wanted:
            try:
                if name != "bytes" and fleet is None:
                    fleet = Fleet()
                sizes(figures, given.runs) if name == "bytes" else GROUPS[name](figures, fleet, given.runs)
                say(f"{name} done after {time.monotonic() - begin:.0f} s")
            except (AssertionError, OSError) as error:  # the other groups are still worth their time
                failed.append(name)
                say(f"{name} failed: {error}")
    finally:
        if fleet:
            fleet.close()
    good = figures.end()
    if failed:
        print("not measured: " + " ".join(failed))
    sys.exit(0 if good and not failed else 1)


main()

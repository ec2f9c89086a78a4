"""Collecting figures: bench/results.json, the table in bench/README.md and what is worse than the peer."""
import json
import pathlib
import statistics
import sys

FOLDER = pathlib.Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"
BEGIN, END = "<!-- results: made by bench/_figures.py -->", "<!-- end of results -->"


def say(text):
    print(f"-- {text}", file=sys.stderr, flush=True)


def spread(values):
    if not values:
        return None
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def text(value):
    return "-" if value is None else f"{value['min']:.4g} / {value['median']:.4g} / {value['max']:.4g}"


def is_worse(row, than):
    ours = row["ours"]["median"]
    return ours < than if row["better"] == "higher" else ours > than


def shortcomings(rows):
    """One line for each figure whose median is worse than the peer's, or beyond its limit."""
    lines = []
    for row in rows:
        if row["peer"] and is_worse(row, row["peer"]["median"]):
            lines.append(f"{row['figure']}: {row['ours']['median']:.4g}, the peer has {row['peer']['median']:.4g}")
        if row["limit"] is not None and is_worse(row, row["limit"]):
            lines.append(f"{row['figure']}: {row['ours']['median']:.4g}, the limit is {row['limit']:.4g}")
    return lines


def table(rows):
    lines = ["| figure | unit | better | ours | peer | peer is | limit | runs |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        limit = "-" if row["limit"] is None else f"{row['limit']:.4g}"
        lines.append(f"| {row['figure']} | {row['unit']} | {row['better']} | {text(row['ours'])} | {text(row['peer'])} | "
                     f"{row['peer_name'] or '-'} | {limit} | {row['runs']} |")
    return "\n".join(lines)


class Figures:
    """Keeps what other groups measured, replaces what is measured again, saves after each figure."""

    def __init__(self, command):
        self.command = command
        self.rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []

    def add(self, figure, unit, better, ours, peer=None, peer_name=None, limit=None):
        """`ours` and `peer` are lists of values of runs made side by side."""
        row = {"figure": figure, "unit": unit, "better": better, "ours": spread(ours), "peer": spread(peer),
               "peer_name": peer_name if peer else None, "limit": limit, "runs": len(ours), "command": self.command}
        self.rows = [f for f in self.rows if f["figure"] != figure] + [row]
        RESULTS.write_text(json.dumps(self.rows, indent=1) + "\n")
        print(f"{figure:26} {unit:12} {text(row['ours']):30} {text(row['peer']):30} {row['peer_name'] or ''}", flush=True)

    def end(self):
        """Writes the table into the README and says what is worse; True if nothing is."""
        before, _, rest = README.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        README.write_text(f"{before}{BEGIN}\n{table(self.rows)}\n{END}{after}")
        worse = shortcomings(self.rows)
        print("worse than the peer, or beyond a limit: " + ("none" if not worse else "\n  " + "\n  ".join(worse)))
        return not worse

"""Collecting figures and writing bench/results.json (the format is described in bench/README.md)."""
import json
import pathlib
import statistics

RESULTS = pathlib.Path(__file__).parent / "results.json"


def spread(values):
    if values is None:
        return None
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def text(value):
    return "-" if value is None else f"{value['min']:.4g} / {value['median']:.4g} / {value['max']:.4g}"


class Figures:
    """Keeps what other groups measured, replaces what is measured again, saves after each figure."""

    def __init__(self, command):
        self.command = command
        self.list = json.loads(RESULTS.read_text()) if RESULTS.exists() else []

    def add(self, figure, unit, better, ours, peer=None, peer_name=None, limit=None):
        """`ours` and `peer` are lists of values of runs made side by side."""
        row = {"figure": figure, "unit": unit, "better": better, "ours": spread(ours), "peer": spread(peer),
               "peer_name": peer_name if peer else None, "limit": limit, "runs": len(ours), "command": self.command}
        self.list = [f for f in self.list if f["figure"] != figure] + [row]
        RESULTS.write_text(json.dumps(self.list, indent=1) + "\n")
        print(f"{figure:28} {unit:12} {text(row['ours']):30} {text(row['peer']):30} {row['peer_name'] or ''}", flush=True)

"""The card of shipped weights: the parts that come from files, which tools/ship_weights.py writes and a test checks.

A card holds marked sections, `<!-- facts -->` ... `<!-- /facts -->` and `<!-- probes -->` ... `<!-- /probes -->`; the
text around them is written by hand.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pointcept_msm.datasets.scene_inputs import ESTIMATE
from pointcept_msm.files.weights import load_checkpoint

FACTS = (
    "method",
    "network",
    "dataset",
    "steps",
    "epochs",
    "seed",
    "loss",
    "licence",
    "git_revision",
    "version",
    "date",
)
SHOWN_METRICS = {"knn_mIoU": "kNN", "linear_mIoU": "linear"}
EVERYTHING = "everything"


def facts_table(path) -> str:
    """What a file of weights says of itself, as a Markdown table."""
    path = Path(path)
    state, config, meta = load_checkpoint(path)
    values = sum(value.numel() for value in state.values())
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()})
    widths = " + ".join(map(str, config.get("dec_channels", ())))
    lines = {
        "file": f"`{path.name}`, {path.stat().st_size / 1e6:.2f} MB, {values:,} values ({', '.join(kinds)})",
        "SHA-256": f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`",
        "architecture": f"{config.get('type')}, levels of {widths} channels",
        "voxel size": f"{meta.get('grid_size')} m",
        "inputs": ", ".join(meta.get("feat_keys") or meta.get("features") or ()),
        "inputs that may be absent": _show_fills(meta.get("fill") or {}),
    }
    lines |= {name.replace("_", " "): _show(meta[name]) for name in FACTS if meta.get(name) is not None}
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in lines.items())])


def probe_table(reports: Sequence[Mapping]) -> str:
    """The rows of several results.json, one for each set of inputs, side by side: mIoU in percent, mean ± spread."""
    names = [_name_inputs(report) for report in reports]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise ValueError(f"two probe reports with {', '.join(doubled)}: give one for each set of inputs")
    metrics = [m for m in SHOWN_METRICS if any(m in row["metrics"] for report in reports for row in report["rows"])]
    methods = list(dict.fromkeys(_name_row(row) for report in reports for row in report["rows"]))
    head = ["features", *(f"{name}, {SHOWN_METRICS[m]}" for name in names for m in metrics)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for method in methods:
        cells = [_find(report, method, metric) for report in reports for metric in metrics]
        lines.append("| " + " | ".join([method, *cells]) + " |")
    return "\n".join([*lines, "", _describe_run(reports)])


def replace_section(text: str, name: str, body: str, card="the card") -> str:
    """The card with the marked section's content exchanged. ValueError: no such section."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{card} has no section between <!-- {name} --> and <!-- /{name} -->: add the two lines")
    return pattern.sub(lambda found: found[1] + body + "\n" + found[2], text, count=1)


def read_section(text: str, name: str) -> str:
    """The content of a marked section, "" where there is none."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", text, re.DOTALL)
    return found[1] if found else ""


def _name_inputs(report):
    settings = report.get("settings", {})
    without, fill = settings.get("without") or [], settings.get("fill") or {}
    if not without:
        return EVERYTHING
    stated = [f"{key} {fill[key]}" for key in without if key in fill]  # instead of the network's own fill
    return "without " + " and ".join(without) + (f" ({', '.join(stated)})" if stated else "")


def _name_row(row):
    method = row["method"] if row["network"] == "-" else f"{row['method']}, {row['network']}"
    return method if row["checkpoint"] == "-" else f"{method} (`{row['checkpoint'][:8]}`)"


def _find(report, method, metric):
    values = next((row["metrics"].get(metric) for row in report["rows"] if _name_row(row) == method), None)
    if not values or values["mean"] is None:
        return "-"
    return f"{values['mean']:.1f}" + (f" ± {values['spread']:.1f}" if values["spread"] is not None else "")


def _describe_run(reports):
    rows = [row for report in reports for row in report["rows"]]
    facts = {name: sorted({row[name] for row in rows}) for name in ("fit_scenes", "test_scenes", "seeds")}
    shown = {name: "/".join(map(str, values)) for name, values in facts.items()}
    revisions = ", ".join(sorted({str(report.get("git_revision")) for report in reports}))
    seeds = "one seed" if shown["seeds"] == "1" else f"{shown['seeds']} seeds (± is their standard deviation)"
    return (
        f"mIoU in percent; fitted on {shown['fit_scenes']} scenes, read on {shown['test_scenes']} held-out ones, "
        f"{seeds}; git revision {revisions}."
    )


def _show_fills(fill):
    shown = [f"{k} (estimated)" if v == ESTIMATE else f"{k} (filled with {v})" for k, v in fill.items()]
    return ", ".join(shown) or "none"


def _show(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)

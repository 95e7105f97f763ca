"""What a probe reports: results.json, results.md and the printed tables, each row with what a reader needs to know."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.runtime.environment import git_revision, package_version

# Order of the metric columns of the main table; label budgets and levels have tables of their own.
COLUMNS = (
    "knn_mIoU",
    "knn_balanced_mIoU",
    "knn1_mIoU",
    "linear_mIoU",
    "linear_mAcc",
    "linear_allAcc",
    "AP25",
    "AP50",
    "AP",
)


@dataclass
class Row:
    """One method's line. metrics: name -> one value a seed, in percent; checkpoint: hash of the weights or "-"."""

    method: str
    network: str  # student, teacher, or "-"
    metrics: dict[str, list[float]]
    fit_scenes: int
    test_scenes: int
    width: int
    voxel_size: float | None = None
    checkpoint: str = "-"
    chosen: dict[str, list] = field(default_factory=dict)  # hyper-parameters, one value a seed

    def add(self, metrics: dict[str, float], chosen: dict) -> None:
        """One seed's outcome."""
        for table, values in ((self.metrics, metrics), (self.chosen, chosen)):
            for name, value in values.items():
                table.setdefault(name, []).append(value)

    @property
    def seeds(self) -> int:
        return max((len(v) for v in self.metrics.values()), default=0)


def summarise(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, sample standard deviation over seeds (None for one seed) and the values themselves; NaN is written as
    None.
    """
    values = [float(v) for v in values]
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else None
    clean = [None if v is None or math.isnan(v) else v for v in (mean, spread, *values)]
    return dict(mean=clean[0], spread=clean[1], values=clean[2:])


def build_results(rows: Sequence[Row], settings: dict | None = None, extra: dict | None = None) -> dict:
    """Everything of a report as plain data."""
    table = []
    for row in rows:
        line = asdict(row) | dict(seeds=row.seeds)
        line["metrics"] = {name: summarise(values) for name, values in row.metrics.items()}
        table.append(line)
    return dict(
        git_revision=git_revision(), version=package_version(), settings=settings or {}, rows=table, **(extra or {})
    )


def save_report(folder: str | os.PathLike, results: dict) -> Path:
    """Write results.json and results.md into `folder`, whole or not at all; returns the JSON's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"results.md": markdown_table(results), "results.json": json.dumps(results, indent=2, default=str) + "\n"}
    for name, text in texts.items():
        with replace_file(folder / name) as file:
            file.write(text.encode())
    return folder / "results.json"


def main_table(results: dict) -> list[list[str]]:
    """One line a method with the metrics of `COLUMNS`, as text, heading first."""
    names = [c for c in COLUMNS if any(c in row["metrics"] for row in results["rows"])]
    tail = ["seeds", "scenes fit/test", "width", "voxel m", "weights"]
    table = [["method", "network", *[n.replace("_", " ") for n in names], *tail]]
    for row in results["rows"]:
        voxel = "-" if row["voxel_size"] is None else f"{row['voxel_size']:g}"
        scenes = f"{row['fit_scenes']}/{row['test_scenes']}"
        values = [_value(row["metrics"].get(n)) for n in names]
        facts = [str(row["seeds"]), scenes, str(row["width"]), voxel, row["checkpoint"][:12]]
        table.append([row["method"], row["network"], *values, *facts])
    return table


def budget_table(results: dict, kind: str) -> list[list[str]]:
    """Linear probes with few labels, one line a method: kind is "scenes" (share of them) or "points" (a scene)."""
    prefix = f"linear_{kind}_"
    names = _names(results, lambda name: name.startswith(prefix))
    if not names:
        return []
    budgets = [name.removeprefix(prefix).replace("%", " %") for name in names]
    title = "linear mIoU, share of scenes" if kind == "scenes" else "linear mIoU, labelled points a scene"
    names = [*names, *_names(results, lambda name: name == "linear_mIoU")]
    head = [title, *budgets, *["all"][: len(names) - len(budgets)]]
    return [head, *[[_title(row), *[_value(row["metrics"].get(n)) for n in names]] for row in results["rows"]]]


def layer_table(results: dict) -> list[list[str]]:
    """Table 11 of the paper: linear probes on each level alone and on all but it, two columns a method."""
    names = _names(results, lambda name: name.endswith(("_alone", "_without")))
    levels = list(dict.fromkeys(name.rpartition("_")[0] for name in names))
    rows = [row for row in results["rows"] if any(name in row["metrics"] for name in names)]
    head = [f"{_title(row)}, {kind}" for row in rows for kind in ("alone", "all but it")]
    ends = ("alone", "without")
    table = [[v, *[_value(r["metrics"].get(f"{v}_{end}")) for r in rows for end in ends]] for v in levels]
    return [["linear mIoU, level", *head], *table] if table else []


def _names(results, wanted):
    """Metrics of any row that `wanted` takes, in the order they were measured."""
    return list(dict.fromkeys(name for row in results["rows"] for name in row["metrics"] if wanted(name)))


def _title(row):
    return row["method"] if row["network"] == "-" else f"{row['method']} {row['network']}"


def all_tables(results: dict) -> list[list[list[str]]]:
    """The tables that have content: main, budgets, layers; each a heading and its lines."""
    budgets = [budget_table(results, kind) for kind in ("scenes", "points")]
    main = main_table(results)
    return [table for table in (main, *budgets, layer_table(results)) if table]


def markdown_table(results: dict) -> str:
    """The tables in Markdown, with the meaning of ±, the probes' settings and the git revision below them."""
    parts = []
    for head, *lines in all_tables(results):
        rows = (head, ["---"] * len(head), *lines)
        parts.append("\n".join("| " + " | ".join(cells) + " |" for cells in rows))
    parts.append(f"Percent; ± is the standard deviation over seeds. {describe_settings(results['settings'])}")
    parts.append(f"Git revision {results['git_revision']}.\n")
    return "\n\n".join(parts)


def describe_settings(settings: dict) -> str:
    """One sentence of what decides the figures besides the weights."""
    words = dict(
        points_per_scene="points a train scene", test_points="points a test scene", k="k", temperature="temperature"
    )
    shown = [f"{words[key]} {settings[key] or 'all'}" for key in words if key in settings]
    return f"Settings: {', '.join(shown)}." if shown else ""


def print_table(results: dict, console: Console | None = None) -> None:
    """The tables on the terminal; lines are never folded where there is no terminal to fold for."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=250)
    for head, *lines in all_tables(results):
        table = Table(caption=f"percent, ± over seeds; git {results['git_revision']}")
        for name in head:
            table.add_column(name)
        for cells in lines:
            table.add_row(*cells)
        console.print(table)


def _value(summary):
    if summary is None or summary["mean"] is None:
        return "-"
    spread = "" if summary["spread"] is None else f" ± {summary['spread']:.1f}"
    return f"{summary['mean']:.1f}{spread}"

"""What a probe reports: results.json with every number, results.md to read, and tables that fit a terminal."""

import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from pointcept_msm import __version__
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.probing.evaluate import Outcome
from pointcept_msm.probing.metrics import class_iou
from pointcept_msm.runtime.environment import git_revision

MAIN = {"knn_mIoU": "kNN", "linear_mIoU": "linear"}
INSTANCES = {name: name for name in ("AP25", "AP50", "AP")}
FURTHER = {
    "knn1_mIoU": "nearest neighbour",
    "linear_mAcc": "linear mAcc",
    "linear_allAcc": "linear allAcc",
    "knn_mIoU_all": "kNN, all classes",
    "linear_mIoU_all": "linear, all classes",
    "AP50_true_classes": "AP50, true classes",
}
FAMILIES = (  # of metrics: corner of their table, and how their names begin and end
    ("linear, share of scenes", "linear_scenes_", ""),
    ("linear, points a scene", "linear_points_", ""),
    ("linear, level alone", "level", "_alone"),
    ("linear, all but level", "level", "_without"),
    ("boxes", "box_", ""),
    ("true boxes, IoU 0.25", "true_", "25"),
    ("true boxes, IoU 0.5", "true_", "50"),
    ("boxes found, IoU 0.25", "found_", "25"),
    ("boxes found, IoU 0.5", "found_", "50"),
)


@dataclass
class Row:
    """One method's line. network: student, teacher, or "-"; checkpoint: hash of the weights or "-". metrics, chosen
    hyper-parameters: name -> one value a seed; rooms: probe -> one {scene: confusion matrix (K, K)} a seed."""

    method: str
    network: str
    fit_scenes: int
    test_scenes: int
    width: int
    voxel_size: float | None = None
    checkpoint: str = "-"
    metrics: dict[str, list[float]] = field(default_factory=dict)
    chosen: dict[str, list] = field(default_factory=dict)
    rooms: dict[str, list[dict[str, np.ndarray]]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """One seed's outcome."""
        for table, values in zip((self.metrics, self.chosen, self.rooms), outcome, strict=True):
            for name, value in values.items():
                table.setdefault(name, []).append(value)

    def to_plain(self) -> dict:
        """The row as results.json holds it; of a room [true class, predicted class, points], where there are any."""
        plain = {**vars(self), "seeds": max(map(len, self.metrics.values()))}
        plain |= dict(class_iou={}, rooms={})
        plain["metrics"] = {name: summarise(values) for name, values in self.metrics.items()}
        for probe, seeds in self.rooms.items():
            counts = np.stack([sum(rooms.values()) for rooms in seeds])  # (seeds, K, K)
            plain["class_iou"][probe] = [summarise(values)["mean"] for values in class_iou(counts).T]
            plain["rooms"][probe] = [
                {room: np.column_stack([*m.nonzero(), m[m.nonzero()]]).tolist() for room, m in rooms.items()}
                for rooms in seeds
            ]
        return plain


def summarise(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, sample standard deviation over seeds (None for one seed) and the values; NaN is written as None."""
    values = [float(v) for v in values]
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else None
    clean = [None if v is None or math.isnan(v) else v for v in (mean, spread, *values)]
    return dict(mean=clean[0], spread=clean[1], values=clean[2:])


def build_results(rows: Sequence[Row], settings: dict | None = None, names: Sequence[str] = ()) -> dict:
    """Everything of a report as plain data; names: of the classes."""
    facts = dict(git_revision=git_revision(), version=__version__, settings=settings or {}, classes=list(names))
    return facts | dict(rows=[row.to_plain() for row in rows])


def save_report(folder: str | os.PathLike, results: dict) -> Path:
    """Write results.json and results.md into `folder`, each whole or not at all; returns the JSON's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"results.json": json.dumps(results, allow_nan=False), "results.md": markdown_report(results)}
    for name, text in texts.items():
        with replace_file(folder / name, "w") as file:
            file.write(text)
    return folder / "results.json"


def metric_table(results: dict, columns: dict[str, str], corner: str, spread: bool = True) -> list[list[str]]:
    """A heading and a line a method of those metrics that were measured; empty when none was."""
    names = [name for name in columns if any(name in row["metrics"] for row in results["rows"])]
    lines = [[_title(row), *[_value(row["metrics"].get(name), spread) for name in names]] for row in results["rows"]]
    return [[corner, *[columns[name] for name in names]], *lines] if names else []


def short_tables(results: dict) -> list[list[list[str]]]:
    """The tables of a terminal that have content, each at most 80 columns wide; those of many columns without ±."""
    tables = [metric_table(results, MAIN, "mIoU"), metric_table(results, INSTANCES, "instances")]
    measured = dict.fromkeys(name for row in results["rows"] for name in row["metrics"])
    for corner, start, end in FAMILIES:
        names = [name for name in measured if name.startswith(start) and name.endswith(end)]
        columns = {name: name[len(start) : len(name) - len(end)].replace("%", " %") for name in names}
        tables.append(metric_table(results, columns, corner, spread=len(names) < 4))
    return [table for table in tables if table]


def describe(results: dict) -> str:
    """What the figures are, in a few sentences: rule, scenes, seeds, settings."""
    row, settings, text = results["rows"][0], results["settings"], "Percent"
    for iou in list(row["class_iou"].values())[:1]:
        occur = sum(value is not None for value in iou)
        text += f"; mIoU over the {occur} of {len(iou)} classes that occur in the test scenes, one confusion matrix"
        if occur < len(iou):
            text += f" (times {occur / len(iou):.3f} by Pointcept's rule, over all {len(iou)}: results.md)"
    reachable = row["metrics"].get("reachable", dict(mean=100))["mean"]
    if reachable < 100:
        text += f"; at most {reachable:.1f} can be reached, as the other classes have no labelled point to fit on"
    ceilings = [_value(row["metrics"].get("AP50_true_classes")) for row in results["rows"]]
    if set(ceilings) != {"-"}:
        text += f"; AP50 with the true classes, row by row: {', '.join(ceilings)}"
    words = dict(points_per_scene="points a train scene", test_points="points a test scene", k="neighbours")
    shown = "".join(f"{settings[key] or 'all'} {words[key]}, " for key in words if key in settings)
    return (
        f"{text}; ± is the standard deviation over seeds. {row['fit_scenes']} train and {row['test_scenes']} test "
        f"scenes, {shown}{row['seeds']} seed(s); git {results['git_revision']}."
    )


def fact_table(results: dict) -> list[list[str]]:
    """The further figures and what made each row."""
    table = metric_table(results, FURTHER, "method") or [["method"], *[[_title(row)] for row in results["rows"]]]
    table[0] += ["seeds", "scenes fit/test", "width", "voxels", "weights"]
    for line, row in zip(table[1:], results["rows"], strict=True):
        voxel_size = f"{100 * row['voxel_size']:g} cm" if row["voxel_size"] else "-"
        line += [str(row["seeds"]), f"{row['fit_scenes']}/{row['test_scenes']}", str(row["width"]), voxel_size]
        line.append(row["checkpoint"][:12])
    return table


def class_table(results: dict) -> list[list[str]]:
    """IoU of each class, a column a method and probe; "-" where the class does not occur; empty without any."""
    found = {(_title(row), probe): iou for row in results["rows"] for probe, iou in row["class_iou"].items()}
    head = ["IoU", *[f"{title}, {MAIN[f'{probe}_mIoU']}" for title, probe in found]]
    lines = [["-" if v is None else f"{v:.1f}" for v in values] for values in zip(*found.values(), strict=True)]
    names = [*map(str, results["classes"]), *map(str, range(len(results["classes"]), len(lines)))]
    return [head, *[[name, *line] for name, line in zip(names, lines)]] if found else []


def markdown_report(results: dict) -> str:
    """All tables in Markdown, the short ones first."""
    parts = [*map(format_table, short_tables(results)), describe(results)]
    rule = '"All classes": Pointcept\'s rule, the mean over all classes, where one that does not occur counts 0.'
    parts += [f"## Further figures\n\n{rule}", format_table(fact_table(results))]
    if classes := class_table(results):
        parts += ["## Classes", format_table(classes)]
    return "\n\n".join(parts) + "\n"


def print_table(results: dict) -> None:
    """The short tables on the terminal, with what they mean below."""
    print("\n\n".join([*map(format_table, short_tables(results)), describe(results)]), flush=True)


def format_table(table: list[list[str]]) -> str:
    """A heading and lines as a Markdown table whose columns are aligned, so that it reads as text too."""
    head, *lines = table
    drawn = Table(box=box.MARKDOWN)
    console = Console(file=io.StringIO(), width=10_000, markup=False, emoji=False)
    for i, name in enumerate(head):
        drawn.add_column(name, justify="right" if i else "left")
    for cells in lines:
        drawn.add_row(*cells)
    console.print(drawn)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines() if line.strip())


def _title(row):
    return row["method"] if row["network"] == "-" else f"{row['method']} {row['network']}"


def _value(summary, spread=True):
    if summary is None or summary["mean"] is None:
        return "-"
    shown = spread and summary["spread"] is not None
    return f"{summary['mean']:.1f}" + (f" ± {summary['spread']:.1f}" if shown else "")

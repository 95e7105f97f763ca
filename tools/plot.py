"""Figures of what was run: python tools/plot.py RUN [RUN ...] --out figures

A RUN is a training's folder (loss and collapse over steps, the probe's curve), a probe's folder or results.json
(classes, label budgets), the folder of tools/ablations.py (bars with seeds, mask ratio) or of tools/few_labels.py.
Several of a kind share a figure. Needs matplotlib: pip install 'pointcept_msm[plots]'.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == "__main__":  # first: it says how to get what this Python lacks
    import pointcept_msm  # noqa: F401

import comparison_runs as runs
import numpy as np

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command
from pointcept_msm.runtime.errors import UserError

PROBES = {"knn": "kNN", "linear": "linear"}
SMOOTH = 100  # points of a smoothed curve
STYLE = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.4}
STYLE |= {"axes.axisbelow": True, "font.size": 9, "axes.titlesize": "medium"}


def main(argv):
    parser = OneSentenceParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, default=Path("figures"), metavar="DIR")
    parser.add_argument("--format", default="png", choices=("png", "pdf", "svg"))
    args = parser.parse_args(argv)
    try:
        import matplotlib
    except ImportError:
        raise UserError("figures need matplotlib: pip install 'pointcept_msm[plots]'") from None
    matplotlib.use("agg")
    matplotlib.rcParams.update(STYLE)
    figures = draw_all(args.paths)
    if not figures:
        raise UserError(
            f"nothing to draw in {', '.join(map(str, args.paths))}: give a run's folder, a results.json, or the folder "
            "of tools/ablations.py or tools/few_labels.py"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(args.out / f"{name}.{args.format}", dpi=150)
        print(args.out / f"{name}.{args.format}")


def draw_all(paths) -> dict:
    """{name: figure} of everything that the paths hold."""
    trainings, results, figures = {}, {}, {}
    names = [path.resolve().name for path in paths]
    for path, name in zip(paths, names, strict=True):
        label = name if names.count(name) == 1 else f"{path.resolve().parent.name}/{name}"
        if not path.exists():
            raise UserError(f"{path} does not exist: give a run's folder or a results.json")
        if (path / "metrics.jsonl").is_file():
            trainings[label] = path
        for file in (path, path / "results.json", path / "probe" / "results.json"):
            if file.name == "results.json" and file.is_file():
                results[file.resolve().parent.name if file == path else label] = file
        if (path / "few_labels.json").is_file():
            figures["few-labels"] = draw_few_labels(json.loads((path / "few_labels.json").read_text())["values"])
        if (path / "ablations.json").is_file():
            variants = read_variants(path)
            figures |= {"ablations": draw_bars(variants)} if variants else {}
            figures |= draw_mask_ratio(variants)
    if trainings:
        lines = {name: read_lines(path / "metrics.jsonl") for name, path in trainings.items()}
        figures["loss"] = draw_curves(lines, ["loss"], "loss")
        names = sorted({key for part in lines.values() for line in part for key in line if is_collapse(key)})
        if names:
            figures["collapse"] = draw_curves(lines, names, "teacher's features")
        probes = {name: read_lines(path / "evaluations.jsonl") for name, path in trainings.items()}
        names = sorted({key for part in probes.values() for line in part for key in line if "mIoU" in key})
        if names:
            figures["probe"] = draw_curves(probes, names, "mIoU", marker="o")
    rows = {}
    for name, file in results.items():
        content = json.loads(file.read_text())
        for row in content["rows"]:
            title = row["method"] if row["network"] == "-" else f"{row['method']} {row['network']}"
            rows[title if len(results) == 1 else f"{name}: {title}"] = row | dict(classes=content.get("classes") or [])
    return figures | draw_classes(rows) | draw_budgets(rows)


def read_lines(path: Path) -> list[dict]:
    """Objects of a file of lines, one a step: of a step that was made again the last."""
    if not path.is_file():
        return []
    return list({line["step"]: line for line in map(json.loads, path.read_text().splitlines())}.values())


def read_variants(folder: Path) -> dict:
    """{variant: {seed: (row of its probe, mask ratio of its training)}} of tools/ablations.py, the base first."""
    variants = {}
    for name in json.loads((folder / "ablations.json").read_text())["variants"]:
        for seed in sorted((folder / name).glob("seed*")):
            row, lines = runs.read_row(seed / "probe" / "results.json"), read_lines(seed / "metrics.jsonl")
            if row:
                ratio = lines[-1].get("mask_ratio") if lines else None
                variants.setdefault(name, {})[int(seed.name[4:])] = (row, ratio)
    return variants


def is_collapse(key) -> bool:
    return key.startswith(("spread_level", "rank_level"))


def new_axes(count=1, height=3.2, width=6.4, columns=4, sharey=False):
    """A figure with so many axes, `columns` a row, with a layout that leaves nothing cut off."""
    from matplotlib.figure import Figure

    columns, rows = min(count, columns), -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel()
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def draw_curves(lines, names, label, marker=None):
    """One panel a name, one curve a run; long curves are means over stretches of steps."""
    figure, panels = new_axes(len(names), width=6.4 if len(names) == 1 else 3.6, height=3.2 if len(names) == 1 else 2.6)
    for axes, name in zip(panels, names):
        for run, part in lines.items():
            points = np.array([(line["step"], line[name]) for line in part if line.get(name) is not None])
            if len(points) > 2 * SMOOTH and marker is None:
                points = np.array([stretch.mean(0) for stretch in np.array_split(points, SMOOTH)])
            if len(points):
                axes.plot(*points.T, marker=marker, label=run)
        title = (
            name.removeprefix("probe/")
            .removesuffix("_mIoU")
            .replace("_", ", ")
            .replace("level", "level ")
            .replace("knn", "kNN")
        )
        axes.set(xlabel="step", title=title if len(names) > 1 else "")
    for axes in panels[::4]:
        axes.set_ylabel(label)
    panels[0].legend(fontsize="small")
    return figure


def summarise(by_seed: dict):
    """Mean and sample standard deviation (0 of one value) of a dictionary's values."""
    values = np.array(list(by_seed.values()), dtype=float)
    return values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0


def draw_bars(variants):
    """kNN and linear mIoU of every variant: the bar is the mean, a dot each seed."""
    figure, panels = new_axes(2, height=1 + 0.3 * len(variants), width=4.5, sharey=True)
    for axes, (probe, title) in zip(panels, PROBES.items()):
        for place, seeds in enumerate(variants.values()):
            values = [row["metrics"][f"{probe}_mIoU"]["mean"] for row, _ in seeds.values()]
            axes.barh(place, np.mean(values), color="C0" if place else "C7", alpha=0.6)
            axes.plot(values, [place] * len(values), "k.")
        axes.set(xlabel=f"{title} mIoU, %")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(variants)), labels=list(variants))
    panels[0].invert_yaxis()
    return figure


def draw_mask_ratio(variants) -> dict:
    """The curve over mask ratios (Fig. 8), when the variants of that name and their base have several."""
    points = {}
    base = next(iter(variants), None)
    for name, seeds in variants.items():
        ratios = {ratio for _, ratio in seeds.values()}
        if len(ratios) == 1 and None not in ratios and (name.startswith("mask-ratio") or name == base):
            points[ratios.pop()] = {seed: row["metrics"] for seed, (row, _) in seeds.items()}
    if len(points) < 2:
        return {}
    figure, (axes,) = new_axes()
    for probe, title in PROBES.items():
        curve = [
            (ratio, *summarise({s: m[f"{probe}_mIoU"]["mean"] for s, m in seeds.items()}))
            for ratio, seeds in sorted(points.items())
        ]
        ratio, mean, spread = np.array(curve).T
        axes.errorbar(ratio, mean, spread, marker="o", capsize=3, label=title)
    axes.set(xlabel="mask ratio", ylabel="mIoU, %")
    axes.legend()
    return {"mask-ratio": figure}


def draw_classes(rows) -> dict:
    """IoU of each class, a bar a method, by the linear probe (by kNN where it was not run)."""
    found = {title: row["class_iou"].get("linear") or row["class_iou"].get("knn") for title, row in rows.items()}
    found = {title: values for title, values in found.items() if values}
    if not found:
        return {}
    count = max(map(len, found.values()))
    names = next(iter(rows.values()))["classes"] or list(map(str, range(count)))
    figure, (axes,) = new_axes(width=max(6.4, 0.5 * count), height=4)
    width = 0.8 / len(found)
    for i, (title, values) in enumerate(found.items()):
        heights = [np.nan if v is None else v for v in values]
        axes.bar(np.arange(len(values)) + (i - (len(found) - 1) / 2) * width, heights, width, label=title)
    axes.set(ylabel="IoU, %")
    axes.set_xticks(range(count), labels=names, rotation=60, ha="right")
    axes.grid(axis="x", visible=False)
    axes.legend(fontsize="small", ncols=len(found), loc="lower left", bbox_to_anchor=(0, 1))
    return {"classes": figure}


def draw_budgets(rows) -> dict:
    """Linear mIoU over the share of labelled scenes and over labelled points a scene (Tables 4 and 5)."""
    kinds = {"scenes": "labelled scenes, %", "points": "labelled points a scene"}
    curves = {kind: {} for kind in kinds}
    for title, row in rows.items():
        for kind in kinds:
            prefix = f"linear_{kind}_"
            found = {n.removeprefix(prefix): m for n, m in row["metrics"].items() if n.startswith(prefix)}
            known = {float(n.strip("%")): m for n, m in found.items() if m["mean"] is not None}
            points = [(x, m["mean"], m["spread"] or 0) for x, m in known.items()]
            if points:
                curves[kind][title] = np.array(sorted(points)).T
    if not any(curves.values()):
        return {}
    figure, panels = new_axes(2, width=4.5)
    for axes, (kind, label) in zip(panels, kinds.items()):
        for title, (x, mean, spread) in curves[kind].items():
            axes.errorbar(x, mean, spread, marker="o", capsize=3, label=title)
        axes.set(xscale="log", xlabel=label, ylabel="linear mIoU, %")
        set_counts(axes, {x for curve in curves[kind].values() for x in curve[0]})
    panels[0].legend(fontsize="small")
    return {"budgets": figure}


def draw_few_labels(values):
    """mIoU over the number of labelled rooms; bars are standard deviations over seeds."""
    figure, (axes,) = new_axes()
    for method, by_rooms in values.items():
        curve = [(int(rooms), *summarise(seeds)) for rooms, seeds in by_rooms.items()]
        if curve:
            rooms, mean, spread = np.array(sorted(curve)).T
            axes.errorbar(rooms, mean, spread, marker="o", capsize=3, label=method)
    axes.set(xscale="log", xlabel="labelled rooms", ylabel="mIoU, %")
    set_counts(axes, {int(rooms) for by_rooms in values.values() for rooms in by_rooms})
    axes.legend()
    return figure


def set_counts(axes, counts) -> None:
    """Ticks of a logarithmic axis at the numbers that were tried, and nowhere else."""
    axes.set_xticks(sorted(counts), labels=[f"{count:g}" for count in sorted(counts)])
    axes.minorticks_off()


if __name__ == "__main__":
    sys.exit(run_command(main))

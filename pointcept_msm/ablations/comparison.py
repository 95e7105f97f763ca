"""What the probes of several variants say beside a base: means over seeds, and differences seed by seed.

Two variants with the same seed share data order, crops, masks and the probe's draws, so that a difference within a seed
is steadier than one between means: only seeds that both have enter it.
"""

from collections.abc import Mapping
from typing import NamedTuple

METRICS = ("knn_mIoU", "linear_mIoU")

Scores = Mapping[str, Mapping[int, Mapping[str, float]]]  # variant -> seed -> metric -> percent


class Comparison(NamedTuple):
    """One variant and one metric: values by seed, and differences to the base by the seeds that both have."""

    variant: str
    metric: str
    values: dict[int, float]
    differences: dict[int, float]

    @property
    def sign(self) -> str:
        """Whether the difference is up or down in all seeds ("+", "-"), not in all ("mixed"), or not known ("")."""
        if not self.differences:
            return ""
        if all(value > 0 for value in self.differences.values()):
            return "+"
        return "-" if all(value < 0 for value in self.differences.values()) else "mixed"


def compare(scores: Scores, base: str, metrics=METRICS) -> list[Comparison]:
    """Every variant with every metric, in the order of `scores`; the base has no differences. KeyError: no base."""
    if base not in scores:
        raise KeyError(f"the base {base!r} is not among the variants {', '.join(scores)}")
    table = []
    for variant, runs in scores.items():
        for metric in metrics:
            values = {seed: runs[seed][metric] for seed in sorted(runs)}
            common = [seed for seed in values if seed in scores[base] and variant != base]
            differences = {seed: values[seed] - scores[base][seed][metric] for seed in common}
            table.append(Comparison(variant, metric, values, differences))
    return table


def markdown_comparison(scores: Scores, base: str, metrics=METRICS) -> str:
    """The comparison as a Markdown table: one line a variant, mean (each seed) and mean difference (each seed)."""
    lines = {}
    for entry in compare(scores, base, metrics):
        cells = lines.setdefault(entry.variant, [entry.variant, _seeds(entry.values)])
        cells += [show(entry.values), show(entry.differences, signed=True), entry.sign]
    head = ["variant", "seeds"]
    for metric in metrics:
        head += [metric.replace("_", " "), f"less {base}", "all seeds"]
    rows = (head, ["---"] * len(head), *lines.values())
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def show(values: Mapping[int, float], signed: bool = False) -> str:
    """Mean and, of several, each value in the order of seeds: "38.8 (38.6, 38.0, 39.7)"; "-" for none."""
    form = "{:+.1f}" if signed else "{:.1f}"
    if not values:
        return "-"
    mean = form.format(sum(values.values()) / len(values))
    each = ", ".join(form.format(value) for value in values.values())
    return f"{mean} ({each})" if len(values) > 1 else mean


def _seeds(values):
    return ", ".join(map(str, values)) or "none"

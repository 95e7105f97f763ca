"""Train, probe and compare variants of a pre-training: python tools/ablations.py [NAME ...] --seeds 0 1 2

NAME is a row of configs/msm/_base_/ablations.py; without one, all rows that the base can take. Others by --variant:
  --variant ratio-0.1 model.mask_ratio=0.1         (or another config: --variant rival contrastive-rooms-tiny)
What is finished is not run again, what was cut short goes on: repeat the command. The table comes at the end and is
kept in OUT/ablations.md; tools/plot.py OUT draws it. Differences are paired by seed and room; the interval is a 95 %
bootstrap over both, and what it does not part from 0 is called equal.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == "__main__":  # first: it says how to get what this Python lacks
    import pointcept_msm  # noqa: F401

import comparison_runs as runs
import numpy as np

from pointcept_msm.host import Config
from pointcept_msm.host.run_config import find_config
from pointcept_msm.link import find_configs
from pointcept_msm.probing.metrics import class_iou
from pointcept_msm.probing.report import format_table
from pointcept_msm.runtime.command_line import OneSentenceParser, run_command
from pointcept_msm.runtime.errors import UserError

PROBES = ("knn", "linear")


def main(argv):
    args = build_parser().parse_args(argv)
    variants, paper = collect_variants(args)
    plan = plan_runs(variants, list(dict.fromkeys(args.seeds)), args.probe, args.out)
    failures = [] if args.table else runs.do_runs(plan, args.jobs, lambda line: print(line, flush=True))
    runs.save_text(args.out / "ablations.json", json.dumps(dict(variants=list(variants))), shown=False)
    runs.save_text(args.out / "ablations.md", compare(plan, variants, paper))
    if failures:
        raise UserError(f"{len(failures)} of {len(plan)} runs failed, the first: {failures[0]}")


def collect_variants(args):
    """({name: (config, options)}, the base first; {name: the paper's figure}). UserError: a name that is not there, or
    twice."""
    base = Path(args.base).stem
    table = Config.fromfile(str(find_configs() / "_base_" / "ablations.py")).ablations
    rows = {row["name"]: row for row in table if base in row.get("bases", [base])}
    unknown = [name for name in args.names if name not in rows]
    if unknown:
        raise UserError(f"no ablation {unknown[0]!r} for {base}; there are {', '.join(rows)} (others by --variant)")
    found = [(base, args.base, [])]
    found += [(name, args.base, rows[name]["options"]) for name in args.names or rows if args.names or not args.variant]
    for name, *rest in args.variant:
        config = [rest.pop(0)] if rest and "=" not in rest[0] else [args.base]
        found.append((name, *config, rest))
    names = [name for name, _, _ in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two variants are called {twice[0]!r}; give one of them another name")
    for config in (args.probe, *(config for _, config, _ in found)):
        find_config(config)
    variants = {name: (config, (*options, *args.options)) for name, config, options in found}
    return variants, {name: "table {}: {}".format(*row["paper"]) for name, row in rows.items() if row["paper"]}


def plan_runs(variants, seeds, probe, out):
    """Every variant with every seed, seed by seed, so that a list that is cut short compares all variants."""
    plan = []
    for seed in seeds:
        for name, (config, options) in variants.items():
            folder = out / name / f"seed{seed}"
            steps = (
                runs.train(config, (*options, f"seed={seed}"), folder),
                runs.probe(probe, folder, seed, folder / "probe"),
            )
            plan.append(runs.Run(name, seed, folder, steps))
    runs.check_requests(plan)
    return plan


def compare(plan, variants, paper) -> str:
    """A Markdown table: mean (each seed), difference to the base with its interval, and the verdict, a line a variant.

    Only seeds that both have enter a difference: they share data order, crops, masks and the probe's draws.
    """
    rows = {(run.variant, run.seed): runs.read_row(run.steps[-1].done) for run in plan}
    base = next(iter(variants))
    head = ["variant", "seeds"]
    for name in PROBES:
        head += [{"knn": "kNN"}.get(name, name), f"less {base}", "95 %", ""]
    table = [[*head, "paper"]]
    for variant in variants:
        mine = {seed: row for (name, seed), row in rows.items() if name == variant and row}
        theirs = {seed: rows[base, seed] for seed in mine if rows[base, seed] and variant != base}
        cells = [variant, ", ".join(map(str, mine)) or "none"]
        for name in PROBES:
            values = {seed: row["metrics"][f"{name}_mIoU"]["mean"] for seed, row in mine.items()}
            less = {seed: values[seed] - row["metrics"][f"{name}_mIoU"]["mean"] for seed, row in theirs.items()}
            cells += [runs.show(values), runs.show(less, signed=True), *interval(mine, theirs, name)]
        table.append([*cells, paper.get(variant, "")])
    return format_table(table) + "\n"


def interval(mine, theirs, name):
    """The bootstrap interval and its verdict, from the rooms that both sides of every shared seed have."""
    sides = [[runs.read_rooms(side[seed], name) for seed in theirs] for side in (mine, theirs)]
    rooms = sorted(set.intersection(*(set(found) for side in sides for found in side))) if theirs else []
    if not rooms:
        return ["", ""]
    ours, base = (np.array([[found[room] for room in rooms] for found in side]) for side in sides)
    difference = paired_difference(ours, base)
    return [f"{difference.low:+.1f} to {difference.high:+.1f}", difference.verdict]


class PairedDifference(NamedTuple):
    """mIoU of one method less another's, in points, and the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ "+" or "-" where the interval leaves out 0, else "equal"."""
        return "+" if self.low > 0 else "-" if self.high < 0 else "equal"


def paired_difference(
    ours: np.ndarray, base: np.ndarray, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> PairedDifference:
    """Difference of mIoU with an interval over seeds and rooms, from confusion matrices (S seeds, R rooms, K, K).

    Both methods have the same seeds and rooms. A draw takes S seeds and R rooms with replacement, the same for both,
    and pools each seed's rooms (Efron and Tibshirani's percentile bootstrap).
    """
    rng, (seeds, rooms) = np.random.default_rng(seed), ours.shape[:2]
    # The first row counts every seed and room once: the difference itself.
    seed_weight = np.vstack([np.ones(seeds), rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws)]) / seeds
    room_weight = np.vstack([np.ones(rooms), rng.multinomial(rooms, np.full(rooms, 1 / rooms), draws)])
    blocks = np.array_split(room_weight, 1 + (draws * ours[:, 0].size >> 22))  # so that pools stay below 32 MiB
    ours, base = (
        np.concatenate([np.nanmean(class_iou(np.tensordot(block, counts, (1, 1))), axis=-1) for block in blocks])
        for counts in (ours, base)
    )
    difference = ((ours - base) * seed_weight).sum(1)
    low, high = np.quantile(difference[1:], [(1 - level) / 2, (1 + level) / 2])
    return PairedDifference(float(difference[0]), float(low), float(high))


def build_parser():
    parser = OneSentenceParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows of configs/msm/_base_/ablations.py")
    parser.add_argument("--base", default="pretrain-rooms-tiny", metavar="CONFIG", help="what all are compared with")
    parser.add_argument("--probe", default="probe-rooms-tiny", metavar="CONFIG", help="what judges them")
    parser.add_argument("--out", type=Path, default=Path("exp/msm/ablations"), metavar="DIR", help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="of training and probe")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time, the cores shared out")
    parser.add_argument("--table", action="store_true", help="only the table of what is finished")
    parser.add_argument(
        "--variant", nargs="+", action="append", default=[], metavar="NAME [CONFIG] KEY=VALUE", help="a line of its own"
    )
    parser.add_argument(
        "--options", nargs="+", default=[], metavar="KEY=VALUE", help="for every training, such as max_steps=64"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))

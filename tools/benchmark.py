"""Time and memory of the parts that cost, on procedural rooms: python tools/benchmark.py [ITEM ...] [--quick]

Items: sparse_conv, index, sampling, attention, step, views, extraction, knn. Cases of one item and size take turns in
one run, so that ratios hold although the machine's speed drifts. Prints tables; --json FILE keeps every time.
--compare ITEM/CASE ITEM/CASE times only these two, turn by turn, and prints their ratio; sparse_conv/torch stands for
that case at every width of --channels.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from pointcept_msm.benchmark.items import ITEMS, NETWORKS
from pointcept_msm.benchmark.measure import measure_cases
from pointcept_msm.benchmark.report import describe_machine, format_growth, format_rows, growth_table
from pointcept_msm.benchmark.scenes import build_scene
from pointcept_msm.runtime.command_line import OneSentenceParser, run_command

SIZES = (50_000, 100_000, 300_000, 1_000_000, 3_000_000)
QUICK_SIZES = (25_000, 50_000)


def parse(argv):
    parser = OneSentenceParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", metavar="ITEM", help=f"of {', '.join(ITEMS)}; all when none is given")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="V", help=f"voxels of the scenes (default {SIZES})")
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64, 128, 256], metavar="C")
    parser.add_argument("--network", choices=list(NETWORKS), default="small", help="of step and extraction")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help=f"sizes {QUICK_SIZES}, three repeats, C up to 128")
    parser.add_argument("--compare", nargs=2, metavar="ITEM/CASE", help="two cases, turn by turn")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    unknown = [item for item in args.items if item not in ITEMS]
    if unknown:
        parser.error(f"unknown item {unknown[0]!r}; allowed: {', '.join(ITEMS)}.")
    if args.repeats < 1 or min(args.sizes or [1]) < 1 or min(args.channels) < 1:
        parser.error("--repeats, --sizes and --channels take positive numbers.")
    if args.quick:
        args.repeats, args.channels = min(args.repeats, 3), [c for c in args.channels if c <= 128]
    args.sizes = args.sizes or (QUICK_SIZES if args.quick else SIZES)
    return args


def build_cases(item, size, args):
    """Cases of one item on a scene of `size` voxels."""
    torch.manual_seed(0)
    return ITEMS[item](build_scene(size), args)


def run_items(args):
    """Rows of all items and sizes, printed as they come."""
    rows = []
    for item in args.items or ITEMS:
        for size in args.sizes:
            results = measure_cases(build_cases(item, size, args), args.repeats, args.device)
            new = [dict(item=item, case=case, size=size, **result) for case, result in results.items()]
            rows += new
            print(format_rows(new), flush=True)
    return rows


def compare(args):
    """The two cases of --compare at every size and width; the ratio is the median over turns."""
    rows = []
    for size in args.sizes:
        first, second = (find_cases(name, size, args) for name in args.compare)
        for width in [width for width in first if width in second]:
            chosen = dict(zip(args.compare, (first[width], second[width]), strict=True))
            results = measure_cases(chosen, args.repeats, args.device)
            new = [dict(item="compare", case=width + name, size=size, **results[name]) for name in args.compare]
            rows += new
            print(format_rows(new), flush=True)
            print(f"{width}{size:,} voxels: {describe_ratio(args.compare, results)}", flush=True)
    return rows


def find_cases(name, size, args):
    """{"": case}, or {"C=32 ": case, ...} where an item has the case at several widths; `name` is ITEM/CASE."""
    item, _, case = name.partition("/")
    cases = build_cases(item, size, args) if item in ITEMS else {}
    if case in cases:
        return {"": cases[case]}
    widths = {f"C={channels} ": cases.get(f"C={channels} {case}") for channels in args.channels}
    found = {width: function for width, function in widths.items() if function is not None}
    if not found:
        allowed = ", ".join(f"{item}/{c}" for c in cases) or f"an item of {', '.join(ITEMS)}"
        raise ValueError(f"--compare {name}: no such case at {size} voxels; allowed: {allowed}")
    return found


def describe_ratio(names, results):
    """The second case's time over the first's: median of the turns, and their spread."""
    first, second = (results[name]["all"] for name in names)
    ratios = sorted(b / a for a, b in zip(first, second, strict=True))
    return (
        f"{names[1]} takes {statistics.median(ratios):.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f}) times as long as "
        f"{names[0]}"
    )


def main(argv):
    args = parse(argv)
    machine = describe_machine(args.device)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    rows = compare(args) if args.compare else run_items(args)
    growth = growth_table(rows)
    print(format_growth(growth))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(dict(machine=machine, rows=rows, growth=growth), indent=1))


if __name__ == "__main__":
    sys.exit(run_command(main))

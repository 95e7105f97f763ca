"""Few labels: frozen features, fine-tuning and training from scratch on 1, 2, 4, ... labelled rooms, in one command:

    python tools/few_labels.py --weights msm-tiny-rooms --out exp/msm/few-labels --rooms 1 2 4 8 16 --seeds 0 1 2

Each seed has labelled rooms of its own. All are scored on the same held-out rooms: frozen features by the kNN and the
linear probe, the two trainings by the segmentor's own predictions after as many steps whatever the number of rooms.
What is finished is not run again. The table is kept in OUT/few_labels.md, its numbers in OUT/few_labels.json, which
tools/plot.py draws (Tables 4 and 5 of the paper; there the share of labelled scenes).
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

from pointcept_msm.files.weights import find_weights
from pointcept_msm.host.run_config import find_config
from pointcept_msm.probing.report import format_table
from pointcept_msm.runtime.command_line import OneSentenceParser, run_command
from pointcept_msm.runtime.errors import UserError

METHODS = ("frozen, kNN", "frozen, linear", "fine-tuned", "from scratch")
EPOCH_ROOMS = 960  # rooms seen by a training, as in supervised-rooms-tiny: 60 epochs of 16


def main(argv):
    args = build_parser().parse_args(argv)
    weights = str(find_weights(args.weights).resolve())
    for config in (args.probe, args.finetune, args.supervised):
        find_config(config)
    plan = plan_runs(args, weights)
    failures = [] if args.table else runs.do_runs(plan, args.jobs, lambda line: print(line, flush=True))
    values = read_values(plan)
    runs.save_text(args.out / "few_labels.json", json.dumps(dict(weights=args.weights, values=values)), shown=False)
    runs.save_text(args.out / "few_labels.md", format_table(build_table(values)) + "\n")
    if failures:
        raise UserError(f"{len(failures)} of {len(plan)} runs failed, the first: {failures[0]}")


def plan_runs(args, weights) -> list:
    """Three runs a number of rooms and a seed; few rooms first, so that a curve grows from its interesting end."""
    plan = []
    for rooms in args.rooms:
        for seed in args.seeds:
            data = [f"data_root={args.data_root}", f"data.train.rooms={rooms}", f"data.train.seed={seed}"]
            # Rooms of another seed lie in a folder of their own: a folder holds the rooms of one.
            data += [f"data.train.data_root={args.data_root}-labels-{seed}"] if seed else []
            epochs = 3 * max(EPOCH_ROOMS // rooms // 3, 1)  # a multiple of eval_epoch
            training = [*data, f"seed={seed}", f"epoch={epochs}", *args.options]
            folder = args.out / f"{rooms}-rooms" / f"seed{seed}"
            names = dict(frozen=folder / "frozen", tuned=folder / "fine-tuned", scratch=folder / "from-scratch")
            steps = dict(
                frozen=runs.probe(args.probe, weights, seed, names["frozen"], data),
                tuned=runs.train(args.finetune, [*training, f"model.weight={weights}"], names["tuned"], "backbone"),
                scratch=runs.train(args.supervised, training, names["scratch"], "backbone"),
            )
            plan += [runs.Run(f"{rooms} rooms, {kind}", seed, names[kind], (step,)) for kind, step in steps.items()]
    runs.check_requests(plan)
    return plan


def read_values(plan) -> dict:
    """{method: {rooms: {seed: mIoU in percent}}} of what is finished."""
    values = {method: {} for method in METHODS}
    for run in plan:
        rooms, kind = run.variant.split(" rooms, ")
        found = {}
        if not run.steps[-1].done.is_file():
            continue
        if kind == "frozen":
            metrics = runs.read_row(run.steps[-1].done)["metrics"]
            found = {method: metrics[f"{name}_mIoU"]["mean"] for method, name in zip(METHODS, ("knn", "linear"))}
        else:
            last = (run.folder / "evaluations.jsonl").read_text().splitlines()[-1]
            found = {"fine-tuned" if kind == "tuned" else "from scratch": 100 * json.loads(last)["val/mIoU"]}
        for method, value in found.items():
            values[method].setdefault(rooms, {})[str(run.seed)] = value
    return values


def build_table(values) -> list[list[str]]:
    """A line a number of rooms: mean (each seed) of every method."""
    counts = sorted({count for by_rooms in values.values() for count in by_rooms}, key=int)
    lines = [[count, *[runs.show(values[method].get(count, {})) for method in METHODS]] for count in counts]
    return [["labelled rooms", *METHODS], *lines]


def build_parser():
    parser = OneSentenceParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, metavar="FILE", help="file, run's folder or shipped name")
    parser.add_argument(
        "--out", type=Path, default=Path("exp/msm/few-labels"), metavar="DIR", help="folder of the runs"
    )
    parser.add_argument("--rooms", type=int, nargs="+", default=[1, 2, 4, 8, 16], metavar="N", help="labelled rooms")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="of rooms, training and probe")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time, the cores shared out")
    parser.add_argument("--table", action="store_true", help="only the table of what is finished")
    parser.add_argument("--data-root", default="data/rooms", metavar="DIR", help="of the configs' rooms")
    parser.add_argument("--probe", default="probe-rooms-tiny", metavar="CONFIG")
    parser.add_argument("--finetune", default="finetune-rooms-tiny", metavar="CONFIG")
    parser.add_argument("--supervised", default="supervised-rooms-tiny", metavar="CONFIG")
    parser.add_argument(
        "--options", nargs="+", default=[], metavar="KEY=VALUE", help="for the trainings, such as max_steps=240"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))

"""Train, probe and compare variants: python tools/ablations.py --out exp/msm/ablations --seeds 0 1 2

Without CONFIG: every ablation-*-tiny beside pretrain-rooms-tiny. Other values of a config by --variant, for example
  --variant ratio-0.1 ablation-mask-ratio-tiny model.mask_ratio=0.1
What is finished is not run again, what was cut short goes on: repeat the command. The table comes at the end and is
kept in OUT/ablations.md.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command


def main(argv):
    args = build_parser().parse_args(argv)
    from pointcept_msm.ablations.comparison import markdown_comparison
    from pointcept_msm.ablations.runs import do_runs, plan_runs, read_scores
    from pointcept_msm.files.atomic import replace_file

    if args.jobs < 1:
        raise ValueError(f"--jobs is {args.jobs}; give 1 or more")
    variants = collect_variants(args)
    runs = plan_runs(variants, list(dict.fromkeys(args.seeds)), args.probe, args.out)
    failures = [] if args.table else do_runs(runs, args.jobs, lambda line: print(line, flush=True))
    table = markdown_comparison(read_scores(runs), variants[0].name)
    args.out.mkdir(parents=True, exist_ok=True)
    with replace_file(args.out / "ablations.md", "w") as file:
        file.write(table)
    print(f"\n{table}\n{args.out / 'ablations.md'}: percent; less {variants[0].name}: seed by seed")
    if failures:
        raise ValueError(f"{len(failures)} of {len(runs)} runs failed, the first: {failures[0]}")


def collect_variants(args):
    """The base first, then the configs, then those given with options; a config that is not there, the probe's too, is
    an error before anything is trained."""
    from pointcept_msm.ablations.runs import Variant
    from pointcept_msm.embedded.defaults import find_config
    from pointcept_msm.link import find_configs

    names = args.configs or [path.stem for path in sorted(find_configs().glob("ablation-*-tiny.py"))]
    plain = [Variant(Path(name).stem, name, tuple(args.options)) for name in [args.base, *names]]
    extra = [
        Variant(name, config[0] if config else args.base, (*args.options, *config[1:]))
        for name, *config in args.variant
    ]
    for config in [args.probe, *[variant.config for variant in [*plain, *extra]]]:
        find_config(config)
    return [*plain, *extra]


def build_parser():
    parser = OneSentenceParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="paths, or names in configs/msm")
    parser.add_argument("--base", default="pretrain-rooms-tiny", metavar="CONFIG", help="what all are compared with")
    parser.add_argument("--probe", default="probe-rooms-tiny", metavar="CONFIG", help="what judges them")
    parser.add_argument("--out", type=Path, default=Path("exp/msm/ablations"), metavar="DIR", help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="of training and probe")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time, the cores shared out")
    parser.add_argument("--table", action="store_true", help="only the table of what is finished")
    parser.add_argument(
        "--variant", nargs="+", action="append", default=[], metavar="NAME CONFIG KEY=VALUE", help="a line of its own"
    )
    parser.add_argument(
        "--options", nargs="+", default=[], metavar="KEY=VALUE", help="for every training, such as max_steps=64"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))

"""Turn a checkpoint into one safe file: python tools/convert_checkpoint.py --source released IN.pth OUT.safetensors

Sources: `released`, the authors' checkpoint; `pointcept`, model_last.pth or model_best.pth of a run in either host;
`spunet`, a Pointcept checkpoint whose backbone is SpUNet, such as MSC's. Nothing in IN is run, nor is the config.py
beside a run's checkpoint, which is read as data. A .py given with --network-config is run: give only your own.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command


def main(argv):
    args = build_parser().parse_args(argv)
    from pointcept_msm.conversion.convert import convert_checkpoint

    meta = {"grid_size": args.grid_size, "feat_keys": args.feat_keys, "color_range": args.color_range}
    match = convert_checkpoint(
        args.input,
        args.output,
        args.source,
        args.network,
        args.network_config,
        args.ignore,
        {key: value for key, value in meta.items() if value is not None},
    )
    left = f", {len(match.unknown)} left behind" if match.unknown else ""
    left += f", {len(match.missing)} at initial values" if match.missing else ""
    print(f"{args.output}: {len(match.state)} tensors{left}")


def build_parser():
    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", metavar="IN", help="a .pth file; nothing in it is run")
    parser.add_argument("output", metavar="OUT", help="a .safetensors file")
    parser.add_argument("--source", required=True, help="released, pointcept or spunet")
    parser.add_argument("--network", help="student (default) or teacher; backbone of a spunet")
    parser.add_argument("--network-config", metavar="FILE", help=".json, or .py (it is run), of the network")
    parser.add_argument("--ignore", action="append", default=[], metavar="PATTERN", help="names to accept: 'head.*'")
    parser.add_argument(
        "--grid-size",
        type=float,
        metavar="METRES",
        help="voxel size of its training, if nothing says",
    )
    parser.add_argument("--feat-keys", nargs="+", metavar="KEY", help="inputs in order: color normal coord")
    parser.add_argument(
        "--color-range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="what black and white were in training: -1 1, but for spunet 0 1, as Pointcept scales today",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))

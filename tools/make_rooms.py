"""Make procedural rooms: python tools/make_rooms.py --out data/rooms --train 64 --val 16

Rooms that are there already are kept, so that an interrupted call can be repeated.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command
from pointcept_msm.runtime.errors import UserError


def main(argv):
    args = build_parser().parse_args(argv)
    from tqdm import tqdm  # after the arguments, as is the next: importing the package takes seconds

    from pointcept_msm.rooms import save_rooms

    counts = {"train": args.train, "val": args.val, "test": args.test}
    if min(counts.values()) < 0 or sum(counts.values()) == 0:
        raise UserError(f"train, val and test are {tuple(counts.values())}; ask for at least one room, e.g. --train 64")
    made = 0
    with tqdm(total=sum(counts.values()), unit="room") as bar:
        for split, count in counts.items():
            made += save_rooms(args.out, split, count, args.seed, args.points, args.workers, bar.update) if count else 0
    print(f"{args.out}: {made} rooms made, {sum(counts.values()) - made} were there")


def build_parser():
    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="data/rooms", metavar="DIR", help="folder of the splits")
    parser.add_argument("--train", type=int, default=64, metavar="N", help="number of training rooms")
    parser.add_argument("--val", type=int, default=16, metavar="N", help="number of validation rooms")
    parser.add_argument("--test", type=int, default=0, metavar="N", help="number of test rooms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", type=int, default=120_000, metavar="N", help="points of a room")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))

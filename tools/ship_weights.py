"""Make shipped weights of a run's network: python tools/ship_weights.py exp/msm/RUN/student.safetensors NAME

Writes pointcept_msm/weights/NAME.safetensors in half precision, checks it against the original on a procedural room,
and, with --card and --probes, fills the marked sections of its card.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command

LIMIT = 8_000_000  # bytes
TOLERANCE = 0.01  # of the features' spread, half precision against single


def main(argv):
    args = build_parser().parse_args(argv)
    from pointcept_msm.features.extractor import build_extractor
    from pointcept_msm.files.pretrained import SHIPPED, find_weights
    from pointcept_msm.files.weights import halve, load_checkpoint, save_checkpoint

    state, config, meta = load_checkpoint(find_weights(args.input))
    meta |= {"name": args.name} | ({"licence": args.licence} if args.licence else {})
    if args.estimate_normals:
        meta["fill"] = {**meta.get("fill", {}), "normal": "estimate"}
    small = halve(state)
    size = sum(value.numel() * value.element_size() for value in small.values())
    if size > LIMIT:
        raise ValueError(f"{args.input} would be {size / 1e6:.1f} MB in half precision; allowed is {LIMIT / 1e6:g} MB")
    change = compare(*(build_extractor(s, config, meta, source=args.input) for s in (state, small)))
    if change > TOLERANCE:
        raise ValueError(
            f"half precision changes the features by {change:.1%} of their spread; allowed {TOLERANCE:.0%}"
        )
    path = Path(args.folder or SHIPPED) / f"{args.name}.safetensors"
    save_checkpoint(path, small, config, meta)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB; features change by {change:.2%} of their spread")
    if args.card:
        write_card(Path(args.card), path, args.probes)


def compare(whole, half):
    """Largest change of a feature on a procedural room, against the standard deviation of all."""
    import numpy as np

    from pointcept_msm.rooms import generate_room

    room = generate_room(seed=0, split="val", index=0, points=20_000)
    expected = whole.extract(room)
    return float(np.abs(half.extract(room) - expected).max() / expected.std())


def write_card(card, path, probes):
    import json

    from pointcept_msm.files.atomic import replace_file
    from pointcept_msm.model_card import facts_table, probe_table, replace_section

    text = replace_section(card.read_text(encoding="utf-8"), "facts", facts_table(path), card)
    if probes:
        reports = [json.loads(Path(report).read_text(encoding="utf-8")) for report in probes]
        text = replace_section(text, "probes", probe_table(reports), card)
    with replace_file(card) as file:
        file.write(text.encode())
    print(f"{card}: facts{' and probes' if probes else ''} written")


def build_parser():
    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", metavar="IN", help="a run's student.safetensors or teacher.safetensors")
    parser.add_argument("name", metavar="NAME", help="what pointcept_msm.load is to call it")
    parser.add_argument("--licence", help="of the weights, such as MIT (default: what the run says)")
    parser.add_argument(
        "--estimate-normals",
        action="store_true",
        help="absent normals are estimated on loading, instead of what training put in their place",
    )
    parser.add_argument("--card", metavar="FILE", help="docs/models/NAME.md: its marked sections are filled")
    parser.add_argument("--probes", nargs="+", metavar="FILE", help="results.json, one for each set of inputs")
    parser.add_argument("--folder", metavar="DIR", help="instead of the package's weights/")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))

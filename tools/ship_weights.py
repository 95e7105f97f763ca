"""Make shipped weights of a run's network: python tools/ship_weights.py exp/msm/RUN/student.safetensors NAME

Writes pointcept_msm/weights/NAME.safetensors in half precision, checks it against the original on a procedural room,
and, with --card and --probes, fills the marked sections of its card: `<!-- facts -->` ... `<!-- /facts -->` and
`<!-- probes -->` ... `<!-- /probes -->`; the text around them is written by hand.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command
from pointcept_msm.runtime.errors import UserError

LIMIT = 8_000_000  # bytes
TOLERANCE = 0.01  # of the features' spread, half precision against single
FACTS = (
    "method",
    "network",
    "dataset",
    "steps",
    "epochs",
    "seed",
    "loss",
    "licence",
    "git_revision",
    "version",
    "date",
)
SHOWN_METRICS = {"knn_mIoU": "kNN", "linear_mIoU": "linear"}


def main(argv):
    args = build_parser().parse_args(argv)
    from pointcept_msm.features.extractor import build_extractor
    from pointcept_msm.files.weights import SHIPPED, find_weights, halve, load_checkpoint, save_checkpoint

    state, config, meta = load_checkpoint(find_weights(args.input))
    meta |= {"name": args.name} | ({"licence": args.licence} if args.licence else {})
    if args.estimate_normals:
        meta["fill"] = {**meta.get("fill", {}), "normal": "estimate"}
    small = halve(state)
    size = sum(value.numel() * value.element_size() for value in small.values())
    if size > LIMIT:
        raise UserError(f"{args.input} would be {size / 1e6:.1f} MB in half precision; allowed is {LIMIT / 1e6:g} MB")
    change = compare(*(build_extractor(s, config, meta, source=args.input) for s in (state, small)))
    if change > TOLERANCE:
        raise UserError(f"half precision changes the features by {change:.1%} of their spread; allowed {TOLERANCE:.0%}")
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

    text = replace_section(card.read_text(encoding="utf-8"), "facts", facts_table(path), card)
    if probes:
        reports = [json.loads(Path(report).read_text(encoding="utf-8")) for report in probes]
        text = replace_section(text, "probes", probe_table(reports), card)
    with replace_file(card) as file:
        file.write(text.encode())
    print(f"{card}: facts{' and probes' if probes else ''} written")


def facts_table(path) -> str:
    """What a file of weights says of itself, as a Markdown table."""
    from pointcept_msm.files.weights import digest_file, load_checkpoint

    path = Path(path)
    state, config, meta = load_checkpoint(path)
    values = sum(value.numel() for value in state.values())
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()})
    widths = " + ".join(map(str, config.get("dec_channels", ())))
    lines = {
        "file": f"`{path.name}`, {path.stat().st_size / 1e6:.2f} MB, {values:,} values ({', '.join(kinds)})",
        "SHA-256": f"`{digest_file(path)}`",
        "architecture": f"{config.get('type')}, levels of {widths} channels",
        "voxel size": f"{meta.get('grid_size')} m",
        "inputs": ", ".join(meta.get("feat_keys") or meta.get("features") or ()),
        "inputs that may be absent": _show_fills(meta.get("fill") or {}),
    }
    lines |= {name.replace("_", " "): _show(meta[name]) for name in FACTS if meta.get(name) is not None}
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in lines.items())])


def probe_table(reports: Sequence[Mapping]) -> str:
    """The rows of several results.json, one for each set of inputs, side by side: mIoU in percent, mean ± spread."""
    names = [_name_inputs(report) for report in reports]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise UserError(f"two probe reports with {', '.join(doubled)}: give one for each set of inputs")
    metrics = [m for m in SHOWN_METRICS if any(m in row["metrics"] for report in reports for row in report["rows"])]
    methods = list(dict.fromkeys(_name_row(row) for report in reports for row in report["rows"]))
    head = ["features", *(f"{name}, {SHOWN_METRICS[m]}" for name in names for m in metrics)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for method in methods:
        cells = [_find(report, method, metric) for report in reports for metric in metrics]
        lines.append("| " + " | ".join([method, *cells]) + " |")
    return "\n".join([*lines, "", _describe_run(reports)])


def replace_section(text: str, name: str, body: str, card="the card") -> str:
    """The card with the marked section's content exchanged. UserError: no such section."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise UserError(f"{card} has no section between <!-- {name} --> and <!-- /{name} -->: add the two lines")
    return pattern.sub(lambda found: found[1] + body + "\n" + found[2], text, count=1)


def read_section(text: str, name: str) -> str:
    """The content of a marked section, "" where there is none."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", text, re.DOTALL)
    return found[1] if found else ""


def _name_inputs(report):
    settings = report.get("settings", {})
    without, fill = settings.get("without") or [], settings.get("fill") or {}
    if not without:
        return "everything"
    stated = [f"{key} {fill[key]}" for key in without if key in fill]  # instead of the network's own fill
    return "without " + " and ".join(without) + (f" ({', '.join(stated)})" if stated else "")


def _name_row(row):
    method = row["method"] if row["network"] == "-" else f"{row['method']}, {row['network']}"
    return method if row["checkpoint"] == "-" else f"{method} (`{row['checkpoint'][:8]}`)"


def _find(report, method, metric):
    values = next((row["metrics"].get(metric) for row in report["rows"] if _name_row(row) == method), None)
    if not values or values["mean"] is None:
        return "-"
    return f"{values['mean']:.1f}" + (f" ± {values['spread']:.1f}" if values["spread"] is not None else "")


def _describe_run(reports):
    rows = [row for report in reports for row in report["rows"]]
    facts = {name: sorted({row[name] for row in rows}) for name in ("fit_scenes", "test_scenes", "seeds")}
    shown = {name: "/".join(map(str, values)) for name, values in facts.items()}
    revisions = ", ".join(sorted({str(report.get("git_revision")) for report in reports}))
    seeds = "one seed" if shown["seeds"] == "1" else f"{shown['seeds']} seeds (± is their standard deviation)"
    return (
        f"mIoU in percent; fitted on {shown['fit_scenes']} scenes, read on {shown['test_scenes']} held-out ones, "
        f"{seeds}; git revision {revisions}."
    )


def _show_fills(fill):
    shown = [f"{k} (estimated)" if v == "estimate" else f"{k} (filled with {v})" for k, v in fill.items()]
    return ", ".join(shown) or "none"


def _show(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)


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

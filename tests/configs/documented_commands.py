"""Commands as docstrings, README and docs write them, taken apart: script, flags, options."""

import ast
import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CONFIG_FOLDER = ROOT / "configs" / "msm"
CONFIGS = sorted(path for path in CONFIG_FOLDER.rglob("*.py") if "_base_" not in path.parts)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPT = re.compile(r"(?:sh (?:tools|scripts)/(?:train|test)\.sh|python tools/(?:train|test|ablations)\.py) ")
LOOSE_OPTIONS = re.compile(r"-- ((?:[\w.]+=\S+ ?)+)")


class Command(NamedTuple):
    """One call: the config that it names, its flags with their values, its `key=value` options."""

    script: str
    config: Path
    flags: dict[str, list[str]]
    options: list[str]


def read_text(path: Path) -> str:
    """A page's text, or a config's docstring; lines that end in a backslash are joined."""
    text = path.read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(text)) if path.suffix == ".py" else text
    return re.sub(r"\\\n\s*", "", text)


def find_commands(text: str) -> list[Command]:
    """Every call of a script that takes a config; a comment, a closing backtick or a double blank ends it."""
    found = (SCRIPT.search(line) for line in text.splitlines())
    return [take_apart(re.split(r"`|\s{2,}\(", match.string[match.start() :])[0]) for match in found if match]


def take_apart(line: str) -> Command:
    """One command line."""
    _, script, *words = shlex.split(line, comments=True)
    flags, flag = {}, "arguments"
    for word in words:
        if word.startswith("-"):
            flag = "--options" if word == "--" else word
            flags.setdefault(flag, [])
        else:
            flags.setdefault(flag, []).append(word)
    name = next((flags[key][0] for key in ("-c", "--config-file", "--base") if flags.get(key)), "")
    if "-d" in flags:  # Pointcept's scripts: a path below configs/msm
        assert flags["-d"] == ["msm"], line
        config = CONFIG_FOLDER / f"{name}.py"
    else:
        name = name.removeprefix("$POINTCEPT_ROOT/")  # where our configs are linked
        config = ROOT / (name or "configs/msm/pretrain-rooms-tiny.py")  # the default of tools/ablations.py
    return Command(script, config, flags, flags.get("--options", []))


def loose_options(text: str) -> list[list[str]]:
    """Options in a config's docstring that stand without a command, as `-- key=value ...`: they are for that config."""
    lines = [line for line in text.splitlines() if not SCRIPT.search(line)]
    found = [match[1].split() for line in lines for match in LOOSE_OPTIONS.finditer(line)]
    return [[option.rstrip(";),") for option in options] for options in found]

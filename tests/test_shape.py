"""Gates on the shape of the code: length of functions, files and configs, and a docstring on every module."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(p for folder in ("pointcept_msm", "tools") for p in (ROOT / folder).rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))


def function_lengths(source: str) -> dict[str, int]:
    """Lines of every function in a module's text, docstring included, by "name:line"."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return {f"{node.name}:{node.lineno}": node.end_lineno - node.lineno + 1 for node in nodes}


def find_faults(path: Path, max_lines: int) -> list[str]:
    """Everything one file does against the rules, as sentences."""
    source = path.read_text(encoding="utf-8")
    faults = [f"{name} has {n} lines, 80 are allowed" for name, n in function_lengths(source).items() if n > 80]
    if len(source.splitlines()) > max_lines:
        faults.append(f"{len(source.splitlines())} lines, {max_lines} are allowed")
    if not ast.get_docstring(ast.parse(source)):
        faults.append("no module docstring")
    if path.name in ("utils.py", "util.py", "helpers.py"):
        faults.append(f"named {path.name}: name the concept instead")
    return faults


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_source_file(path):
    assert find_faults(path, max_lines=400) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_config_file(path):
    assert find_faults(path, max_lines=80) == []


def test_functions_are_short():
    lengths = sorted(n for path in SOURCES for n in function_lengths(path.read_text(encoding="utf-8")).values())
    p90 = lengths[int(0.9 * len(lengths))]
    assert statistics.median(lengths) <= 12, f"median of {len(lengths)} functions: {statistics.median(lengths)} lines"
    assert p90 <= 40, f"90th percentile of {len(lengths)} functions: {p90} lines"


def test_the_gates_find_faults(tmp_path):
    path = tmp_path / "utils.py"
    path.write_text("class A:\n    async def long(self):\n" + "        x = 1\n" * 80)
    assert find_faults(path, max_lines=81) == [
        "long:2 has 81 lines, 80 are allowed",
        "82 lines, 81 are allowed",
        "no module docstring",
        "named utils.py: name the concept instead",
    ]

"""Which module of the package imports which, read from the source: nothing is imported to find out."""

import ast
from pathlib import Path

PACKAGE = "pointcept_msm"


def read_modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file of every module below `root`/pointcept_msm; a package goes by its folder's name."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def read_imports(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports, at the top or inside a function."""
    return {name: _imports_of(name, path, modules) - {name} for name, path in modules.items()}


def _imports_of(name, path, modules):
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            names = [a.name for a in node.names if (start, a.name) != (PACKAGE, "__version__")]  # bound before all else
            found |= {f"{start}.{a}" if f"{start}.{a}" in modules else start for a in names}
    return found & modules.keys()


def find_circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another, directly or through others."""
    reach = {name: _reachable(name, imports) for name in imports}
    groups = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in imports}
    return [list(group) for group in sorted(groups) if group]


def _reachable(start, imports):
    seen, waiting = set(), [start]
    while waiting:
        for other in imports[waiting.pop()] - seen:
            seen.add(other)
            waiting.append(other)
    return seen


def find_upward(imports: dict[str, set[str]], layers: list[set[str]]) -> list[str]:
    """Imports from a lower layer of one above it; `layers` are sets of folder names, the lowest first."""
    rank = {folder: number for number, folders in enumerate(layers) for folder in folders}

    def layer(module):
        parts = module.split(".")
        return rank.get(parts[1], len(layers)) if len(parts) > 1 else len(layers)

    pairs = [(name, other) for name, others in imports.items() for other in others if layer(other) > layer(name)]
    return [f"{name} imports {other}" for name, other in sorted(pairs)]

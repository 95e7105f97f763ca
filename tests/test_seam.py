"""Only `pointcept_msm/host` may import Pointcept, and every name that the package registers in a host is its own."""

import ast
import inspect
from pathlib import Path

import pytest

from pointcept_msm import host

PACKAGE = Path(__file__).resolve().parents[1] / "pointcept_msm"


def imported_modules(source: str) -> set[str]:
    """Absolute modules that a source imports, by statement or by a call such as import_module("...")."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return {name for name in names if isinstance(name, str)}


def imports_pointcept(source: str) -> bool:
    return any(name.split(".")[0] == "pointcept" for name in imported_modules(source))


@pytest.mark.parametrize(
    "source",
    ["import pointcept.models", "from pointcept.utils import comm", 'importlib.import_module("pointcept.engines")'],
)
def test_the_check_sees_an_import(source):
    assert imports_pointcept(f"def late():\n    {source}")


def test_the_check_lets_our_own_modules_pass():
    assert not imports_pointcept(
        "import pointcept_msm\nfrom pointcept_msm.host import pointcept\nfrom . import pointcept"
    )


def test_only_the_host_imports_pointcept():
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if file.parent != PACKAGE / "host"]
    assert len(files) > 20
    assert not [str(file) for file in files if imports_pointcept(file.read_text())]


def test_registered_names_are_our_own():
    """The embedded host's stand-ins for Pointcept's classes keep its names; everything else starts with MSM."""
    foreign = [
        (registry.name, name)
        for registry in host.REGISTRIES
        for name, cls in registry.module_dict.items()
        if inspect.getmodule(cls) and cls.__module__.startswith("pointcept_msm.")
        if not cls.__module__.startswith("pointcept_msm.embedded.") and not name.startswith("MSM")
    ]
    assert not foreign

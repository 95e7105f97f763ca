"""What somebody else wrote, read as data: a `.pth` of tensors, arrays and plain values, and the config.py beside it.

Nothing in either is ever run.
"""

import ast
import codecs
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pointcept_msm.runtime.errors import UserError

ZIP, PICKLE = b"PK\x03\x04", b"\x80"  # what torch from 1.6 on writes, and what it did before
DDP_PREFIX = "module."
SAFE_OLD_FILES = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6)


def read_torch_file(path) -> dict:
    """The dictionary in a `.pth` file, on the CPU. Objects that would run code are refused, not loaded.

    UserError: no file, code in it, damaged, or not a dictionary.
    """
    path = Path(path)
    require_regular(path)
    if not SAFE_OLD_FILES and not _begins_with(path, ZIP):
        raise UserError(
            f"{path} is no zip archive, and torch {torch.__version__} may run code from older kinds of files "
            "(CVE-2025-32434): save it again with torch.save, or install torch 2.6 or newer"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on odd pickles; what it then refuses is said below
            _check_sums(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except pickle.UnpicklingError as error:
        raise UserError(_explain_refusal(path, str(error))) from error
    except Exception as error:  # a damaged pickle can fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(f"{path} is damaged or not a torch file ({reason}): copy it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, allowed is a dictionary of tensors: save that alone")
    return content


def require_regular(path) -> None:
    """Refuse what is no regular file: reading a pipe or a device would never end. Links are followed."""
    if not Path(path).is_file():
        kind = "is no regular file (a folder, pipe or device)" if Path(path).exists() else "does not exist"
        raise UserError(f"{path} {kind}; give a file that is there")


def find_state_dict(content: Mapping, path="the file", containers: Sequence[str] = ("state_dict",)) -> dict:
    """The tensors of a checkpoint by name, without DDP's prefix: of the first of `containers` that is there, else the
    file's own. UserError: there are none.
    """
    state = next((content[key] for key in containers if isinstance(content.get(key), Mapping)), content)
    if not any(isinstance(value, torch.Tensor) for value in state.values()):
        found = ", ".join(map(str, content)) or "nothing"
        raise UserError(
            f"{path} has no {' or '.join(map(repr, containers))} with tensors, only {found}: give another checkpoint"
        )
    return {str(key).removeprefix(DDP_PREFIX): value for key, value in state.items()}


def read_literal_config(path) -> dict:
    """The names that a Python file assigns, such as the config.py a run leaves: numbers, strings, lists, tuples,
    dictionaries and `dict(key=value)`. UserError: anything else stands in it, or it is not Python.
    """
    path, names = Path(path), {}
    try:
        tree = _DictCalls().visit(ast.parse(path.read_text(encoding="utf-8")))
        for statement in tree.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            if not isinstance(target, ast.Name) or len(statement.targets) != 1:
                raise _refuse_code(path, statement)
            try:
                names[target.id] = ast.literal_eval(statement.value)
            except (ValueError, TypeError):
                raise _refuse_code(path, statement) from None
    except (SyntaxError, UnicodeDecodeError, RecursionError, MemoryError) as error:
        raise UserError(f"{path} is not a Python config ({error}): give the network's config itself") from error
    return names


class _DictCalls(ast.NodeTransformer):
    """`dict(a=1)` becomes `{"a": 1}`, so that it counts as a literal."""

    def visit_Call(self, node):
        self.generic_visit(node)
        named = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
        if not named or not all(keyword.arg for keyword in node.keywords):
            return node
        return ast.Dict([ast.Constant(k.arg) for k in node.keywords], [k.value for k in node.keywords])


def _refuse_code(path, statement):
    return UserError(
        f"{path} holds more than plain values (line {statement.lineno}) and is not run: give the network's config "
        "itself, or this file as the config if you trust it"
    )


def _check_sums(path):
    """Compare every entry of an archive with its checksum: torch would take flipped bits for numbers."""
    if not _begins_with(path, ZIP):
        return  # a plain pickle of torch before 1.6, or nothing of the kind
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its entry {damaged} does not match its checksum")


def _begins_with(path, *kinds):
    """torch tells files apart by their first bytes too."""
    with open(path, "rb") as file:
        return file.read(4).startswith(kinds)


def _explain_refusal(path, text):
    """torch's refusal is a page long and suggests to load the file anyway; ours names what was in it."""
    found = re.search(r"(?:GLOBAL|Unsupported global:?|class:?) ([\w.]+\.\w+)", text)
    if found is None and not _begins_with(path, ZIP, PICKLE):
        return f"{path} is damaged or not a torch file (unknown first bytes): copy it again"
    what = f"{found[1]} is in it" if found else "something beside tensors and plain values is in it"
    return (
        f"{path} holds Python code or objects ({what}), which are never loaded; nothing of it was run: have its author "
        "save the state dict alone"
    )


def _list_numpy_globals() -> list:
    """What pickled arrays and numbers of numpy name, under the module paths of numpy 1 and 2; none of it runs foreign
    code. Pointcept's older scenes are arrays, and its trainer saves the best metric as a number of numpy.
    """
    rebuild = [np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]]
    renamed = [_rename(function, f"numpy.{core}.multiarray") for function in rebuild for core in ("core", "_core")]
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    return [np.ndarray, np.dtype, codecs.encode, *dtypes, *renamed]


def _rename(function, module):
    """The function as one of another module: torch before 2.6 knows what is allowed by these attributes alone."""

    def renamed(*args):
        return function(*args)

    renamed.__module__, renamed.__name__, renamed.__qualname__ = module, function.__name__, function.__name__
    return renamed


torch.serialization.add_safe_globals(_list_numpy_globals())

"""A run's config.py read as data: assignments of plain values only, so that a stranger's file is never run."""

import ast
import operator
from pathlib import Path

ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def read_literal_config(path) -> dict:
    """The names that a Python file assigns, such as the config.py a run leaves: numbers, strings, lists, tuples,
    dictionaries and `dict(key=value)`. ValueError: anything else stands in it, or it is not Python.
    """
    path, names = Path(path), {}
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for statement in tree.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
                raise _Refusal(statement)
            target = statement.targets[0]
            if not isinstance(target, ast.Name):
                raise _Refusal(statement)
            names[target.id] = _evaluate(statement.value)
    except _Refusal as refusal:
        raise ValueError(
            f"{path} holds more than plain values (line {refusal.line}) and is not run: give the network's arguments "
            "as a .json with --network-config, or this file itself if you trust it"
        ) from None
    except (SyntaxError, UnicodeDecodeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{path} is not a Python config ({error}): give --network-config FILE") from error
    return names


class _Refusal(Exception):
    def __init__(self, node):
        self.line = getattr(node, "lineno", "?")


def _evaluate(node):
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Tuple, ast.List)):
        return (tuple if isinstance(node, ast.Tuple) else list)(_evaluate(item) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_key(key): _evaluate(value) for key, value in zip(node.keys, node.values)}
    if _is_dict_call(node):
        return {keyword.arg: _evaluate(keyword.value) for keyword in node.keywords}
    return _calculate(node)


def _key(node):
    key = _evaluate(node)
    if not isinstance(key, (str, int, float)):
        raise _Refusal(node)
    return key


def _is_dict_call(node):
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict"
    return called and not node.args and all(keyword.arg for keyword in node.keywords)


def _calculate(node):
    """-1 or 1 / 64."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left, right = _number(node.left), _number(node.right)
        if isinstance(node.op, ast.Div) and right == 0:
            raise _Refusal(node)
        return ARITHMETIC[type(node.op)](left, right)
    raise _Refusal(node)


def _number(node):
    value = _evaluate(node)
    if type(value) not in (int, float):
        raise _Refusal(node)
    return value

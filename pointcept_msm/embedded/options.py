"""`key=value` options from the command line, merged into a config; a key that nothing would read is refused.

A dotted key (`model.backbone.window_size=256`, `hooks.0.interval=5`) must exist in the config, or be an argument of the
constructor that the dictionary it lands in will be given to. Values are Python literals, `true` / `false` / `none` in
any case, `a,b` or `[a,b]` for lists, `(a,b)` for tuples; anything else is a string.

Config files repeat some values: `data_root` and `grid_size` stand at the top and, written out, in every dataset and
transform. Changing such a scalar at the top level also changes every deeper entry with the same key that held the same
value, so `data_root=elsewhere` does what it says; `data.train.data_root=...` changes one place only.
"""

import ast
import inspect
import logging

from pointcept_msm.embedded.registry import nearest_name

LOGGER = logging.getLogger("msm")
WORDS = {"true": True, "false": False, "none": None}
CLOSING = {"(": ")", "[": "]", "{": "}"}


def parse_value(text: str):
    """The Python value that the right-hand side of an option stands for."""
    text = text.strip()
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    parts = split_commas(text)
    if len(parts) > 1:
        return [parse_value(part) for part in parts if part.strip()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return _parse_brackets(text)


def _parse_brackets(text: str):
    """A list or tuple whose items are not all Python literals, such as `[max,false]`; otherwise the text itself."""
    if len(text) >= 2 and text[0] in "[(" and text[-1] == CLOSING[text[0]]:
        items = [parse_value(part) for part in split_commas(text[1:-1]) if part.strip()]
        return items if text[0] == "[" else tuple(items)
    return text


def split_commas(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    parts, depth, quote, start = [], 0, None, 0
    for position, char in enumerate(text):
        if quote:
            quote = None if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def merge_options(config, options):
    """Apply `key=value` strings (or a dict of parsed values) to a config in place, in order, and return it.

    Raises ValueError naming the nearest valid key when a key is unknown, or when an option has no `=`.
    """
    pairs = options.items() if isinstance(options, dict) else [_split_option(option) for option in options or []]
    for key, value in pairs:
        if "." not in key:
            _set_repeats(config, key, value)
        _set_dotted(config, key, value)
    return config


def _split_option(option: str):
    key, equals, value = option.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"option {option!r} is not of the form key=value; write e.g. epoch=10 or model.mask_ratio=0.5")
    return key.strip(), parse_value(value)


def _set_dotted(config, key: str, value) -> None:
    node, steps = config, key.split(".")
    for depth, step in enumerate(steps[:-1]):
        node = node[_checked_step(config, node, step, key, steps[:depth])]
    node[_checked_step(config, node, steps[-1], key, steps[:-1], last=True)] = value


def _checked_step(config, node, step: str, key: str, path: list[str], last: bool = False):
    """The index or key that `step` means in `node`; raises ValueError when nothing reads it."""
    where = ".".join(path) or "the config"
    if isinstance(node, (list, tuple)):
        return _checked_index(node, step, key, where)
    if not hasattr(node, "keys"):
        raise ValueError(f"option {key!r} cannot be set: {where} is {node!r}, which has no entries; set {where} itself")
    if step in node:
        return step
    arguments, open_ended = constructor_arguments(node.get("type"))
    if last and (step in arguments or open_ended):
        return step
    if step in arguments:
        raise ValueError(
            f"option {key!r} cannot be set: {where} has no {step!r} yet; give {where}.{step}={{...}} whole"
        )
    raise ValueError(
        f"option {key!r} is unknown: {where} takes no {step!r}{_suggestion(config, node, step, key, path)}"
    )


def _suggestion(config, node, step: str, key: str, path: list[str]) -> str:
    """The nearest valid key: the same name elsewhere, a like name in this place, or the most similar key of all."""
    keys = sorted(settable_keys(config))
    elsewhere = [other for other in keys if other.rpartition(".")[2] == key.rpartition(".")[2]]
    here = [".".join([*path, name]) for name in {*map(str, node), *constructor_arguments(node.get("type"))[0]}]
    if elsewhere:
        return nearest_name(key, elsewhere, cutoff=0)
    return nearest_name(".".join([*path, step]), here, cutoff=0.7) or nearest_name(key, keys, cutoff=0)


def _checked_index(node, step: str, key: str, where: str) -> int:
    if isinstance(node, tuple):
        raise ValueError(f"option {key!r} cannot be set: {where} is a tuple; give the whole tuple, {where}=(a,b)")
    if not step.lstrip("-").isdigit() or not -len(node) <= int(step) < len(node):
        raise ValueError(f"option {key!r} is unknown: {where} is a list of {len(node)}, so {step!r} is no index of it")
    return int(step)


def constructor_arguments(type_name) -> tuple[set[str], bool]:
    """Names that the registered class `type_name` takes, and whether it takes any further ones.

    `**kwargs` is followed to the constructor of the base class.
    """
    cls = _registered_class(type_name)
    names, open_ended = set(), False
    for base in inspect.getmro(cls) if cls else ():
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
        if not open_ended:
            break
    return names - {"self", "cfg"}, open_ended


def _registered_class(type_name):
    if inspect.isclass(type_name):
        return type_name
    # At call time, because the host imports this package's embedded modules.
    from pointcept_msm.host import REGISTRIES

    found = (registry.get(type_name) for registry in REGISTRIES if type_name in registry.module_dict)
    return next(found, None)


def settable_keys(config):
    """Every dotted key that an option may set: what the config has, and what its registered classes take."""
    for node, path in _dictionaries(config):
        for key in {*node, *constructor_arguments(node.get("type"))[0]}:
            yield f"{path}.{key}" if path else key


def _set_repeats(config, key: str, value) -> None:
    """Give the entries below the top level which repeat the scalar `config[key]` the new value as well."""
    old = config.get(key)
    if old is None or not isinstance(old, (str, int, float)):
        return
    for node, path in _dictionaries(config):
        if path and key in node and type(node[key]) is type(old) and node[key] == old:
            node[key] = value
            LOGGER.info("option %s=%r also sets %s.%s", key, value, path, key)


def _dictionaries(node, path: str = ""):
    """Every dictionary of a nested config with its dotted path."""
    if hasattr(node, "items"):
        yield node, path
    items = node.items() if hasattr(node, "items") else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, child in list(items):
        yield from _dictionaries(child, f"{path}.{key}" if path else str(key))

"""Exported networks: one safetensors file with the weights, the config that builds them and where they come from."""

import hashlib
import json
import zlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.files.pretrained import WEIGHTS_FILE

FIELDS = ("config", "meta")


def save_checkpoint(path, state_dict, config, meta):
    """Write tensors, `config` (dict that builds the network) and `meta` (provenance) to `path`, atomically.

    Raises TypeError when config or meta hold something JSON cannot, OSError when the file cannot be written.
    """
    texts = {name: _to_json(name, value) for name, value in (("config", config), ("meta", meta))}
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state_dict.items()}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        file.write(save(tensors, metadata={"format": "pt", **texts, "checksum": sum_tensors(tensors)}))


def save_pretrained(folder, state_dict, config, meta, half=False) -> Path:
    """Write a folder as the Hugging Face hub keeps a model: the file of `save_checkpoint`, which says all by itself,
    and config.json for people and for the hub. Returns the file."""
    path = Path(folder) / WEIGHTS_FILE
    save_checkpoint(path, halve(state_dict) if half else state_dict, config, meta)
    text = json.dumps({"library_name": "pointcept_msm", "config": config, "meta": meta}, indent=2) + "\n"
    with replace_file(path.with_name("config.json"), "w") as file:
        file.write(text)
    return path


def halve(state_dict) -> dict:
    """Floating-point tensors in half precision (float16), which loading turns back. ValueError: beyond its range."""
    small = {key: value.half() if value.is_floating_point() else value for key, value in state_dict.items()}
    lost = [key for key, value in small.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if lost:
        raise ValueError(f"{len(lost)} tensors do not fit half precision, first {lost[0]}: keep single precision")
    return small


def load_checkpoint(path):
    """Read what `save_checkpoint` wrote: (state_dict on the CPU, config, meta).

    Raises FileNotFoundError for a missing file, ValueError for one that is truncated, damaged or not exported by us.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}: give a .safetensors file, such as a run's student.safetensors."
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            state_dict = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError, MemoryError) as error:
        raise ValueError(
            f"{path} is truncated or not a safetensors file ({error}): copy it again, "
            "or turn another format into one with tools/convert_checkpoint.py."
        ) from error
    config, meta = (_from_json(path, name, metadata) for name in FIELDS)
    _check_weights(path, state_dict, metadata.get("checksum"))
    return state_dict, config, meta


def digest_file(path) -> str:
    """SHA-256 of a file as hex, as `sha256sum` prints it: what names weights in tables, cards and descriptions."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_tensors(state_dict, settings=None) -> str:
    """SHA-256 of named tensors and of settings, as hex: a key for caches, which hold for a network in memory too."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update(save({key: value.detach().cpu().contiguous().clone() for key, value in state_dict.items()}))
    return digest.hexdigest()


def sum_tensors(state_dict):
    """CRC-32 of names, types, shapes and bytes, as hex: safetensors itself does not notice flipped bits."""
    total = 0
    for name in sorted(state_dict):
        value = state_dict[name].contiguous()
        total = zlib.crc32(repr((name, str(value.dtype), tuple(value.shape))).encode(), total)
        total = zlib.crc32(value.flatten().view(torch.uint8).numpy().data, total) if value.numel() else total
    return f"{total:08x}"


def _check_weights(path, state_dict, checksum):
    """Refuse weights that changed since they were written, where the file says what they were, or are no numbers."""
    if checksum is not None and checksum != sum_tensors(state_dict):
        raise ValueError(f"{path} is damaged: its weights do not match their checksum; copy or export it again.")
    broken = [n for n, v in state_dict.items() if v.is_floating_point() and not bool(v.isfinite().all())]
    if broken:
        raise ValueError(f"{path} holds NaN or infinity in {len(broken)} tensors, such as {broken[0]}: export another.")


def _to_json(name, value):
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"checkpoint {name} must hold plain JSON values only ({error}): convert it before saving."
        ) from error


def _from_json(path, name, metadata):
    if name not in metadata:
        raise ValueError(
            f"{path} has no '{name}' in its metadata (found: {', '.join(sorted(metadata)) or 'none'}): it was not "
            "exported by this package; use tools/convert_checkpoint.py."
        )
    try:
        value = json.loads(metadata[name])
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} has a damaged '{name}' in its metadata ({error}): export it again.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} has a {type(value).__name__} as '{name}' in its metadata: export it again.")
    return value

"""Exported networks: one safetensors file with the weights, the config that builds them and where they come from.

They are found by name (shipped with the package), as a file or folder, or on the Hugging Face hub.
"""

import hashlib
import json
import re
import zlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.runtime.errors import UserError

DEFAULT_WEIGHTS = "msm-tiny-rooms"
SHIPPED = Path(__file__).resolve().parents[1] / "weights"
WEIGHTS_FILE = "model.safetensors"  # what save_pretrained writes and the hub serves
RUN_FILE = "student.safetensors"  # what a run leaves
HUB_ADDRESS = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^:\s]+))?(:(?P<file>\S+))?")


def save_checkpoint(path, state_dict, config, meta):
    """Write tensors, `config` (dict that builds the network) and `meta` (provenance) to `path`, atomically.

    Both must be plain JSON values. OSError when the file cannot be written.
    """
    texts = {name: json.dumps(value, allow_nan=False) for name, value in (("config", config), ("meta", meta))}
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
    """Floating-point tensors in half precision (float16), which loading turns back. UserError: beyond its range."""
    small = {key: value.half() if value.is_floating_point() else value for key, value in state_dict.items()}
    lost = [key for key, value in small.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if lost:
        raise UserError(f"{len(lost)} tensors do not fit half precision, first {lost[0]}: keep single precision")
    return small


def load_checkpoint(path):
    """Read what `save_checkpoint` wrote: (state_dict on the CPU, config, meta).

    UserError: no such file, or one that is damaged, not exported by us, or holds no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}: give a .safetensors file, such as a run's student.safetensors.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            state_dict = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged or not a safetensors file ({error}): copy it again, or turn another format into one "
            "with tools/convert_checkpoint.py."
        ) from error
    config, meta = _read_texts(path, metadata)
    if "checksum" in metadata and metadata["checksum"] != sum_tensors(state_dict):
        raise UserError(f"{path} is damaged: its weights do not match their checksum; copy or export it again.")
    broken = [n for n, v in state_dict.items() if v.is_floating_point() and not bool(v.isfinite().all())]
    if broken:
        raise UserError(f"{path} holds NaN or infinity in {len(broken)} tensors, such as {broken[0]}: export another.")
    return state_dict, config, meta


def find_weights(name_or_path: str | Path) -> Path:
    """The file of weights that is meant: itself, that of a folder, shipped ones by name, or `hf:owner/repo`.

    A folder is that of `save_pretrained` or of a run (its student). UserError: none of these, with what there is.
    """
    if str(name_or_path).startswith("hf:"):
        return download_weights(str(name_or_path))
    path = Path(name_or_path).expanduser()
    for candidate in (path, path / WEIGHTS_FILE, path / RUN_FILE, SHIPPED / f"{name_or_path}.safetensors"):
        if candidate.is_file():
            return candidate
    inside = f"the folder {path} holds no {WEIGHTS_FILE} and no {RUN_FILE}" if path.is_dir() else "no such file"
    raise UserError(
        f"no weights {str(name_or_path)!r} ({inside}): give a .safetensors file, a folder, hf:owner/repo or a shipped "
        f"name: {', '.join(list_shipped()) or 'none is shipped in this copy of the package'}"
    )


def list_shipped() -> list[str]:
    """Names of the weights inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def download_weights(address: str) -> Path:
    """The local copy of `hf:owner/repo[@revision][:file]`, fetched by huggingface_hub into its cache.

    UserError: another form, no huggingface_hub, or it could not be had.
    """
    found = HUB_ADDRESS.fullmatch(address)
    if found is None:
        raise UserError(f"{address!r} is no address of the hub: write hf:owner/repo, hf:owner/repo@revision:file")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise UserError(
            f"{address} needs huggingface_hub: pip install 'pointcept_msm[hub]', or download the file and give its path"
        ) from error
    name = found["file"] or WEIGHTS_FILE
    try:
        return Path(hf_hub_download(found["repo"], name, revision=found["revision"]))
    except Exception as error:  # no network, no such repository, a private one: many classes, which change by release
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(
            f"cannot get {name} of {address} ({type(error).__name__}: {reason}): check name, network and login, or "
            "download the file and give its path"
        ) from error


def digest_file(path) -> str:
    """SHA-256 of a file as hex, as `sha256sum` prints it: what names weights in tables, cards and descriptions."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def digest_tensors(state_dict, settings=None) -> str:
    """SHA-256 of named tensors and of settings, as hex: a key for caches, which holds for a network in memory too."""
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


def _read_texts(path, metadata):
    """The dictionaries `config` and `meta` in a file's metadata."""
    try:
        texts = [json.loads(metadata[name]) for name in ("config", "meta")]
    except (KeyError, ValueError, RecursionError):
        texts = []
    if not texts or not all(isinstance(text, dict) for text in texts):
        raise UserError(
            f"{path} has no sound config and meta in its metadata, so it was not exported by this package: use "
            "tools/convert_checkpoint.py, or export it again."
        )
    return texts

"""Where weights come from: shipped with the package by name, a file or folder, or the Hugging Face hub."""

import re
from pathlib import Path

DEFAULT_WEIGHTS = "msm-tiny-rooms"
SHIPPED = Path(__file__).resolve().parents[1] / "weights"
WEIGHTS_FILE = "model.safetensors"  # what save_pretrained writes and the hub serves
RUN_FILE = "student.safetensors"  # what a run leaves
HUB_ADDRESS = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^:\s]+))?(:(?P<file>\S+))?")


def find_weights(name_or_path: str | Path) -> Path:
    """The file of weights that is meant: itself, that of a folder, shipped ones by name, or `hf:owner/repo`.

    A folder is that of `save_pretrained` or of a run (its student). FileNotFoundError: none of these, with what there
    is; ValueError, ImportError: see `download_weights`.
    """
    if str(name_or_path).startswith("hf:"):
        return download_weights(str(name_or_path))
    path = Path(name_or_path)
    for candidate in (path, path / WEIGHTS_FILE, path / RUN_FILE, SHIPPED / f"{name_or_path}.safetensors"):
        if candidate.is_file():
            return candidate
    inside = (
        f"the folder {path} holds no {WEIGHTS_FILE} and no {RUN_FILE}" if path.is_dir() else "there is no such file"
    )
    raise FileNotFoundError(
        f"no weights {str(name_or_path)!r} ({inside}): give a .safetensors file, a folder, hf:owner/repo or a shipped "
        f"name: {', '.join(list_shipped()) or 'none is shipped in this copy of the package'}"
    )


def list_shipped() -> list[str]:
    """Names of the weights inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def download_weights(address: str) -> Path:
    """The local copy of `hf:owner/repo[@revision][:file]`, fetched by huggingface_hub into its cache.

    ValueError: another form. ImportError: no huggingface_hub. FileNotFoundError: it could not be had.
    """
    found = HUB_ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"{address!r} is no address of the hub: write hf:owner/repo, hf:owner/repo@revision:file")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ImportError(
            f"{address} needs huggingface_hub: pip install 'pointcept_msm[hub]', or download the file and give its path"
        ) from error
    name = found["file"] or WEIGHTS_FILE
    try:
        return Path(hf_hub_download(found["repo"], name, revision=found["revision"]))
    except Exception as error:  # no network, no such repository, a private one: many classes, which change by release
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise FileNotFoundError(
            f"cannot get {name} of {address} ({type(error).__name__}: {reason}): check name, network and login, or "
            "download the file and give its path"
        ) from error


def publish_folder(folder, repo: str, **kwargs) -> str:
    """Upload what `save_pretrained` wrote to `owner/repo` of the hub, which is made if need be; the address to load.

    kwargs: of huggingface_hub's `create_repo` (private, token). ImportError: no huggingface_hub.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ImportError("publishing needs huggingface_hub: pip install 'pointcept_msm[hub]'") from error
    api = HfApi(token=kwargs.pop("token", None))
    api.create_repo(repo, exist_ok=True, **kwargs)
    api.upload_folder(repo_id=repo, folder_path=str(folder))
    return f"hf:{repo}"

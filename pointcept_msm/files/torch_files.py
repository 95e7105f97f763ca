"""Reading a `.pth` that somebody else wrote: tensors and plain values only, nothing in it is ever run."""

import logging
import pickle
import re
import warnings
from pathlib import Path

import torch

from pointcept_msm.files.file_claims import check_torch_file

MAGIC = (b"PK\x03\x04", b"\x80")  # zip archive of torch >= 1.6, a pickle of before


def read_torch_file(path) -> dict:
    """The dictionary in a `.pth` file, on the CPU. Objects that would run code are refused, not loaded.

    FileNotFoundError: no file. ValueError: code in it, truncated, or not a dictionary.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: give the .pth file to convert")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on odd pickles; what it then refuses is said below
            check_torch_file(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_explain_refusal(path, str(error))) from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise ValueError(f"{path} is truncated or not a torch file ({_first_line(error)}): copy it again") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__}, allowed is a dictionary of tensors: save that alone"
        )
    logging.getLogger("msm").debug("%s holds %s", path, ", ".join(map(str, content)))
    return content


def _explain_refusal(path, text):
    """torch's refusal is a page long and suggests to load the file anyway; ours names what was in it."""
    found = re.search(r"(?:GLOBAL|Unsupported global:?|class:?) ([\w.]+\.\w+)", text)
    with open(path, "rb") as file:
        known = file.read(4).startswith(MAGIC)
    if found is None and not known:
        return f"{path} is truncated or not a torch file (unknown first bytes): copy it again"
    what = f"{found[1]} is in it" if found else "something beside tensors and plain values is in it"
    return (
        f"{path} holds Python code or objects ({what}), which are never loaded; nothing of it was run: have its author "
        "save the state dict alone"
    )


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")

"""Is a file what it says it is? Asked before anything is read: a header may claim terabytes, a pipe never ends.

A claim that the file's own size contradicts is refused; one that it cannot contradict (compressed archives, views of a
tensor) is held against the memory that is free. Errors are ValueErrors in one sentence.
"""

import math
import os
import zipfile
from pathlib import Path

import numpy as np

GIB = 2**30


def require_regular(path) -> None:
    """Refuse what is no regular file: reading a pipe or a device would never end. Links are followed."""
    path = Path(path)
    if not path.is_file():
        if not path.exists():
            what = "is a link to nothing" if path.is_symlink() else "does not exist"
            raise FileNotFoundError(f"{path} {what}; give a file that is there")
        raise ValueError(f"{path} is no regular file (a folder, pipe or device); give a file with the arrays in it")


def free_memory() -> float:
    """Bytes that this machine can still give, as far as it says so; infinity otherwise."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, AttributeError):
        return math.inf


def check_memory(claimed: float, what: str) -> None:
    """Refuse to make `claimed` bytes of arrays when they do not fit into what is free."""
    free = free_memory()
    if claimed > free:
        raise ValueError(
            f"{what} claims {claimed / GIB:,.1f} GiB, {free / GIB:.1f} GiB are free; cut the scene, if it is that large"
        )


def check_npy(path) -> None:
    """Compare the header of a `.npy` file with the length of the file; leaves what is no header to numpy."""
    with open(path, "rb") as file:
        claimed = read_npy_claim(file)
        there = os.fstat(file.fileno()).st_size - file.tell()
    if claimed > there:
        raise ValueError(f"its header claims {claimed:,} bytes of numbers, {there:,} are there")


def read_npy_claim(file) -> int:
    """Bytes that the header at the start of an open `.npy` claims; the file stands behind the header afterwards."""
    shape, _, dtype = read_npy_header(file)
    if any(size < 0 for size in shape):
        raise ValueError(f"its header claims the shape {shape}")
    return math.prod(shape) * dtype.itemsize  # python's integers: no overflow


def read_npy_header(file) -> tuple:
    """(shape, whether in Fortran's order, dtype) from an open `.npy`, any version of the format."""
    major = np.lib.format.read_magic(file)[0]
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    return read(file)


def check_archive(path) -> None:
    """Refuse a zip archive (`.npz`, `.pth`) whose entries would not fit into memory once unpacked."""
    with zipfile.ZipFile(path) as archive:
        check_memory(sum(entry.file_size for entry in archive.infolist()), "it")


def check_npz(path, names) -> None:
    """As `check_archive`, and the header of each named array against the length of its entry."""
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.removesuffix(".npy") not in names:
                continue
            with archive.open(entry) as file:
                claimed, there = read_npy_claim(file), entry.file_size - file.tell()
            if claimed > there:
                raise ValueError(f"{entry.filename} claims {claimed:,} bytes of numbers, {there:,} are there")


def check_torch_file(path) -> None:
    """`check_archive` and checksums of a `.pth`: torch takes flipped bits for numbers.

    A file that does not begin as an archive is a plain pickle of torch before 1.6, or nothing of the kind.
    """
    with open(path, "rb") as file:
        is_archive = file.read(4) == b"PK\x03\x04"  # what torch goes by
    if is_archive:
        check_archive(path)
        check_archive_sums(path)


def check_archive_sums(path) -> None:
    """Read a zip archive once and compare every entry with its checksum."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its entry {damaged} does not match its checksum")


PLY_SIZES = {
    "char": 1, "uchar": 1, "int8": 1, "uint8": 1, "short": 2, "ushort": 2, "int16": 2, "uint16": 2, "int": 4,
    "uint": 4, "int32": 4, "uint32": 4, "float": 4, "float32": 4, "double": 8, "float64": 8,
}  # fmt: skip


def check_ply(path) -> None:
    """Compare the counts in a `.ply` header with the length of the file: no row is shorter than its properties."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        claimed = _count_ply_bytes(file)
        there = size - file.tell()
    if claimed > there + 1:  # the last number of a text may lack its line end
        raise ValueError(f"its header claims at least {claimed:,} bytes of numbers, {there:,} are there")


def _count_ply_bytes(file) -> int:
    """The least number of bytes that the elements of a header need; the file stands behind the header afterwards."""
    total, count, row, text = 0, 0, 0, False
    for _ in range(10_000):
        words = file.readline(10_000).split()
        if words[:1] == [b"end_header"]:
            return total + count * row
        if words[:1] == [b"format"]:
            text = words[1:2] == [b"ascii"]
        elif words[:1] == [b"element"] and len(words) == 3:
            total, count, row = total + count * row, int(words[2]), 0
        elif words[:1] == [b"property"] and len(words) > 2:
            # As text a number and what parts it from the next take two characters.
            row += 2 if text else PLY_SIZES.get(words[2 if words[1] == b"list" else 1].decode("ascii", "replace"), 1)
    raise ValueError("its header has no end")

"""Ways to spoil files and values, drawn by hypothesis, and what may come of them: a sound result or one sentence."""

import contextlib
import faulthandler
import signal
import sys
import zipfile

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

SECONDS = 20  # longer than this for one case is a hang
EXPLAINED = (ValueError, OSError, KeyError)  # with a sentence of ours; KeyError as the registries raise it
ODD_NUMBERS = [0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e300, -1e300, float("nan"), float("inf")]
ODD_VALUES = [
    *ODD_NUMBERS, None, True, "", "x", "\udcff", "a\nb", b"x", [], [[]], [1, [2, 3]], {}, {"a": 1}, (), {1}, object(),
    np.zeros((0, 3)), np.zeros((3, 0)), np.array(None), np.array("1"), np.datetime64("2020-01-01"), 1 + 2j, range(3),
]  # fmt: skip
ABSURD = [b"999999999999", b"4294967296", b"-1", b"0", b"1e9", b"\xff" * 8, b"\0" * 8, b"nan", b"%s", b"\n"]


def quietly(examples):
    """Settings of a mutation test: a fixed seed, no database, no time limit of hypothesis's own."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class Hung(BaseException):
    """A case took too long; no handler of the code under test may swallow it."""


@contextlib.contextmanager
def time_limit(seconds=SECONDS):
    """Raise Hung in the block when it takes longer; when even that is not heard, show where and end the tests."""

    def ring(*_):
        raise Hung(f"longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def assert_explained(error, *names):
    """An error is an explanation when it is of an expected kind, one line long, says something, and names a file."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    assert isinstance(error, EXPLAINED), f"{type(error).__name__}: {text}"
    assert "\n" not in text and len(text) > 20 and " " in text, text
    assert not names or any(str(name) in text for name in names), text


@st.composite
def byte_edits(draw):
    """A function from bytes to spoilt bytes; positions are shares of the length, headers are hit more often."""
    kind = draw(st.sampled_from(["flip", "flip", "cut", "zero", "double", "absurd", "absurd", "swap", "noise"]))
    place = draw(st.floats(0, 1)) ** draw(st.sampled_from([1, 4]))
    size, bit = draw(st.integers(1, 64)), draw(st.integers(0, 7))
    word, seed = draw(st.sampled_from(ABSURD)), draw(st.integers(0, 2**16))

    def edit(data: bytes) -> bytes:
        at = min(int(place * len(data)), max(len(data) - 1, 0))
        head, tail = data[:at], data[at:]
        if kind == "flip":
            return head + bytes([tail[0] ^ 1 << bit]) + tail[1:] if tail else data
        if kind == "cut":
            return head
        if kind == "zero":
            return head + b"\0" * min(size, len(tail)) + tail[size:]
        if kind == "double":
            return head + tail[:size] + tail
        if kind == "absurd":
            return head + word + tail[len(word) :]
        if kind == "swap":
            return tail + head
        return head + np.random.default_rng(seed).bytes(size) + tail[size:]

    return edit


def patch_archive(path, edit, index, target):
    """Spoil the content of one entry of a zip archive and write a valid archive again, checksums included."""
    with zipfile.ZipFile(path) as source:
        names = source.namelist()
        contents = [source.read(name) for name in names]
    chosen = index % len(names)
    contents[chosen] = edit(contents[chosen])
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in zip(names, contents):
            archive.writestr(name, content)

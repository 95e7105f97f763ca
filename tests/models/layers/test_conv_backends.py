"""Choice of what multiplies: names, what `auto` takes, and one sentence for what cannot be used."""

import importlib.util

import pytest
import torch

from pointcept_msm.models.layers import conv_backends, torch_conv
from pointcept_msm.models.layers.conv_backends import (
    check_same_backend,
    choose_conv_backend,
    find_conv_backends,
)
from pointcept_msm.runtime.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
HAS_TRITON = importlib.util.find_spec("triton") is not None


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv(conv_backends.VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (8, 0))
    monkeypatch.setattr(conv_backends, "_start_triton", lambda: None)
    conv_backends._uses_triton.cache_clear()
    yield
    conv_backends._uses_triton.cache_clear()


def chosen(device):
    return choose_conv_backend(device).__module__.rsplit(".", 1)[1]


@pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
def test_auto_takes_triton_on_a_gpu_and_torch_on_a_cpu(monkeypatch, caplog):
    with caplog.at_level("INFO", "msm"):
        assert chosen(CUDA) == chosen(CUDA) == "triton_conv"
        assert chosen(CPU) == "torch_conv"
    said = [r.getMessage() for r in caplog.records]
    assert said == [
        "sparse convolution on cuda: triton; kernels are compiled on first use, about 10 s, once",
        "sparse convolution on cpu: torch",
    ]
    assert list(find_conv_backends(CUDA)) == ["torch", "triton"]
    assert find_conv_backends(CPU) == dict(torch=torch_conv.convolve)
    monkeypatch.setenv("MSM_CONV_BACKEND", "torch")
    assert chosen(CUDA) == "torch_conv"


def refuse():
    raise ModuleNotFoundError("No module named 'triton'")


@pytest.mark.parametrize("cause, said", [("windows", "No module named 'triton'"), ("volta", "capability is 7.0")])
def test_a_gpu_without_triton_gets_torch_and_the_log_says_why(monkeypatch, caplog, cause, said):
    if cause == "windows":
        monkeypatch.setattr(conv_backends, "_start_triton", refuse)
    else:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 0))
    with caplog.at_level("INFO", "msm"):
        assert chosen(CUDA) == "torch_conv"
    assert said in caplog.text
    monkeypatch.setenv("MSM_CONV_BACKEND", "triton")
    with pytest.raises(UserError, match=f"{said}.*use MSM_CONV_BACKEND=auto or torch"):
        choose_conv_backend(CUDA)


def test_processes_must_use_the_same(monkeypatch, caplog):
    """As where one machine of several has an old GPU: refused on every rank, with who uses what."""
    monkeypatch.setattr(conv_backends.comm, "all_gather", lambda name: ["triton", name])
    with pytest.raises(UserError, match=r"by rank is triton, torch: .*MSM_CONV_BACKEND=torch"):
        check_same_backend(CPU)
    with caplog.at_level("INFO", "msm"):
        check_same_backend(CUDA)
    assert "by rank: triton, triton" in caplog.text


def test_a_back_end_that_cannot_be_had_is_refused(monkeypatch):
    for name, sentence in (
        ("spconv", "MSM_CONV_BACKEND is 'spconv'; allowed are auto, torch, triton"),
        ("triton", "it needs a GPU and the features are on 'cpu'; use MSM_CONV_BACKEND=auto or torch"),
    ):
        monkeypatch.setenv("MSM_CONV_BACKEND", name)
        with pytest.raises(UserError, match=sentence):
            choose_conv_backend(CPU)

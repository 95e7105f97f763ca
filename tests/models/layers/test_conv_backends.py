"""Choice of the back end: names, what `auto` takes, and one sentence for what cannot be used."""

import re
from types import SimpleNamespace

import pytest
import torch

from pointcept_msm.models.hunet_v1m1 import MSMHUNet
from pointcept_msm.models.layers import conv_backends, spconv_conv, torch_conv
from pointcept_msm.models.layers.conv_backends import (
    check_conv_backend,
    choose_conv_backend,
    find_conv_backends,
    set_conv_backend,
    wanted_conv_backend,
)
from pointcept_msm.models.layers.conv_trial import find_fault
from tests.models.sparse_scenes import TINY

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv(conv_backends.VARIABLE, raising=False)
    conv_backends._choose.cache_clear()
    yield
    set_conv_backend(None)
    conv_backends._choose.cache_clear()


@pytest.fixture
def machine(monkeypatch):
    """machine(installed, gpu, faults, cpu_only): a machine with these packages, whose back ends have these faults."""

    def make(*installed, gpu=True, faults=None, cpu_only=False):
        def load(name):
            if name not in installed:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
            return SimpleNamespace(cpu_only=cpu_only, version="0")

        def trial(convolve, device):
            assert device == CUDA
            return (faults or {}).get(convolve.args[0])

        monkeypatch.setattr(spconv_conv, "load_spconv", load)
        monkeypatch.setattr(conv_backends, "find_fault", trial)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)

    return make


def chosen(device):
    function = choose_conv_backend(device)
    return "torch" if function is torch_conv.convolve else function.args[0]


@pytest.mark.parametrize(
    "installed, expected",
    [
        (("spconv", "spconv_triton"), "spconv"),
        (("spconv_triton",), "spconv_triton"),
        (("spconv",), "spconv"),
        ((), "torch"),
    ],
)
def test_auto_takes_the_first_that_is_installed_on_a_gpu_and_torch_on_a_cpu(machine, installed, expected):
    machine(*installed)
    assert chosen(CUDA) == expected
    assert chosen(CPU) == "torch"


def test_auto_passes_over_a_back_end_that_fails_its_trial_and_says_so(machine, caplog):
    machine("spconv", "spconv_triton", faults=dict(spconv="gives other numbers than plain PyTorch here"))
    with caplog.at_level("INFO", "msm"):
        assert chosen(CUDA) == "spconv_triton"
        assert chosen(CUDA) == "spconv_triton"
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]  # once
    assert "spconv gives other numbers" in caplog.text and "sparse convolution on cuda: spconv_triton 0" in caplog.text


def test_those_that_work_are_found(machine):
    machine("spconv", "spconv_triton", faults=dict(spconv="fails on this device"))
    assert list(find_conv_backends(CUDA)) == ["torch", "spconv_triton"]
    assert find_conv_backends(CPU) == dict(torch=torch_conv.convolve)


def test_auto_passes_over_the_cpu_build(machine):
    machine("spconv", cpu_only=True)
    assert chosen(CUDA) == "torch"


def test_a_wanted_back_end_is_taken_or_refused_but_never_replaced(machine, monkeypatch):
    machine("spconv", "spconv_triton", faults=dict(spconv="fails on this device (no kernel image)"))
    monkeypatch.setenv("MSM_CONV_BACKEND", "spconv_triton")
    assert chosen(CUDA) == "spconv_triton"
    monkeypatch.setenv("MSM_CONV_BACKEND", "torch")
    assert chosen(CUDA) == chosen(CPU) == "torch"
    monkeypatch.setenv("MSM_CONV_BACKEND", "spconv")
    with pytest.raises(
        NotImplementedError, match=r"spconv fails on this device \(no kernel image\); use MSM_CONV_BACKEND="
    ):
        choose_conv_backend(CUDA)
    with pytest.raises(ValueError, match=r"spconv runs on a GPU and the features are on 'cpu'; use MSM_CONV_BACKEND="):
        choose_conv_backend(CPU)


def test_the_function_goes_before_the_variable(machine, monkeypatch):
    machine("spconv")
    monkeypatch.setenv("MSM_CONV_BACKEND", "torch")
    set_conv_backend("spconv")
    assert wanted_conv_backend() == "spconv"
    with pytest.raises(ValueError, match="the back end is 'cudnn'; allowed are auto, torch, spconv, spconv_triton"):
        set_conv_backend("cudnn")
    assert wanted_conv_backend() == "spconv"
    set_conv_backend(None)
    assert wanted_conv_backend() == "torch"


@pytest.mark.parametrize("gpu", [True, False])
def test_a_network_is_refused_before_training_when_its_back_end_cannot_be_had(machine, monkeypatch, gpu):
    machine(gpu=gpu)
    for name, error, sentence in (
        ("spcnv", ValueError, "MSM_CONV_BACKEND is 'spcnv'; allowed are auto, torch, spconv, spconv_triton"),
        ("spconv", ImportError, "spconv is not installed: pip install spconv-cu120"),
        ("spconv_triton", ImportError, "spconv_triton is not installed: pip install spconv-triton"),
    ):
        monkeypatch.setenv("MSM_CONV_BACKEND", name)
        with pytest.raises(error, match=sentence):
            MSMHUNet(**TINY)


def test_without_a_gpu_an_installed_back_end_is_refused_too(machine, monkeypatch):
    machine("spconv", gpu=False)
    monkeypatch.setenv("MSM_CONV_BACKEND", "spconv")
    with pytest.raises(ValueError, match="spconv runs on a GPU and this machine has none"):
        check_conv_backend()
    machine("spconv", gpu=True, cpu_only=True)
    with pytest.raises(ImportError, match="spconv is its CPU build"):
        check_conv_backend()


def test_an_import_that_fails_is_told_apart_from_a_missing_package(monkeypatch):
    errors = dict(spconv_triton=ModuleNotFoundError("No module", name="triton"), spconv=OSError("libcuda"))

    def load(name):
        raise errors[name]

    monkeypatch.setattr(spconv_conv, "load_spconv", load)
    said = dict(spconv_triton="needs the module 'triton'", spconv=r"cannot be imported \(libcuda\)")
    for name, sentence in said.items():
        monkeypatch.setenv("MSM_CONV_BACKEND", name)
        with pytest.raises(ImportError, match=sentence):
            check_conv_backend()


def test_the_state_dict_is_the_same_whatever_the_back_end(machine):
    machine("spconv", "spconv_triton")
    states = []
    for name in conv_backends.CHOICES:
        set_conv_backend(name)
        torch.manual_seed(0)
        states.append(MSMHUNet(**TINY).state_dict())
    for state in states[1:]:
        assert list(state) == list(states[0])
        assert all(torch.equal(a, b) for a, b in zip(state.values(), states[0].values(), strict=True))


def test_trial_accepts_the_reference_and_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    with torch.inference_mode():
        assert find_fault(torch_conv.convolve, CPU) is None
    assert torch.equal(torch.get_rng_state(), before)


def swap_axes(feat, weight, kernel_map):
    return torch_conv.convolve(feat, weight.transpose(1, 3), kernel_map)


def half_of_the_gradient(feat, weight, kernel_map):
    return torch_conv.convolve(feat, weight.detach() + (weight - weight.detach()) / 2, kernel_map)


def crash(feat, weight, kernel_map):
    raise RuntimeError("no kernel image is available for execution on the device")


@pytest.mark.parametrize(
    "convolve, said",
    [
        (swap_axes, r"other numbers than plain PyTorch here \(submanifold, value, torch.float32"),
        (half_of_the_gradient, r"\(submanifold, gradient to weight, torch.float32: relative error 0.5"),
        (lambda *args: torch_conv.convolve(*args) * float("nan"), "relative error nan"),
        (crash, "fails on this device .no kernel image"),
    ],
)
def test_trial_finds_a_wrong_back_end(convolve, said):
    assert re.search(said, find_fault(convolve, CPU))

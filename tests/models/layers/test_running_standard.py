"""Running standardisation against scikit-learn over all batches at once, alone and in two processes."""

import threading

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from pointcept_msm.models.layers.running_standard import RunningStandard
from pointcept_msm.runtime import comm

GENERATOR = torch.Generator().manual_seed(0)
BATCHES = [torch.randn(n, 3, generator=GENERATOR) * 4 + torch.tensor([0.0, 10.0, -100.0]) for n in (50, 7, 200, 31)]


def test_equals_scikit_learn_over_the_first_batches_and_then_stays():
    norm = RunningStandard(3, batches=3).train()
    assert torch.equal(norm.eval()(BATCHES[0]), BATCHES[0] / (1 + 1e-6) ** 0.5)  # nothing measured yet
    norm.train()
    for batch in BATCHES:
        out = norm(batch)
    scaler = StandardScaler().fit(torch.cat(BATCHES[:3]).double())
    np.testing.assert_allclose(norm.mean, scaler.mean_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(norm.variance, scaler.var_, rtol=1e-6)
    np.testing.assert_allclose(out, scaler.transform(BATCHES[3].double()), atol=1e-4)
    assert norm.seen == 3 and out.dtype == torch.float32


def test_eval_does_not_measure_and_the_state_is_saved():
    norm = RunningStandard(3).train()
    norm(BATCHES[0])
    state = {key: value.clone() for key, value in norm.state_dict().items()}
    norm.eval()(BATCHES[1])
    assert all(torch.equal(value, state[key]) for key, value in norm.state_dict().items())
    other = RunningStandard(3)
    other.load_state_dict(state)
    assert torch.equal(other.eval()(BATCHES[2]), norm(BATCHES[2]))


def test_a_constant_channel_stays_finite():
    assert torch.isfinite(RunningStandard(2).train()(torch.ones(5, 2))).all()


def test_two_processes_measure_together(monkeypatch):
    """Two threads stand in for two processes: a reduction waits for both and gives both the sum."""
    barrier, values = threading.Barrier(2), {}

    def reduce_sum_(tensor):
        values[threading.get_ident()] = tensor.clone()
        barrier.wait(10)
        tensor.copy_(sum(values.values()))
        barrier.wait(10)
        return tensor

    monkeypatch.setattr(comm, "reduce_sum_", reduce_sum_)
    norms = [RunningStandard(3).train() for _ in range(2)]

    def run(rank):
        for batch in BATCHES[rank::2]:
            norms[rank](batch)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    scaler = StandardScaler().fit(torch.cat(BATCHES).double())
    for norm in norms:
        np.testing.assert_allclose(norm.mean, scaler.mean_, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(norm.variance, scaler.var_, rtol=1e-6)


def test_no_batch_to_measure_on_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        RunningStandard(3, batches=0)

"""From a config name and options to a run: names, defaults, resumed configs, shares of a batch."""

import pytest

from pointcept_msm.embedded.defaults import (
    default_config_parser,
    default_setup,
    find_config,
    find_last_checkpoint,
    load_run_config,
    refuse_overwrite,
)
from tests import toy


@pytest.fixture
def configs(tmp_path):
    root = tmp_path / "configs"
    for name in ("msm/pretrain-toys-tiny", "msm/probe-toys", "msm/_base_/rooms"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).with_suffix(".py").write_text('"""A config."""\n')
    return root


@pytest.mark.parametrize(
    "name",
    [
        "pretrain-toys-tiny", "msm/pretrain-toys-tiny", "configs/msm/pretrain-toys-tiny.py",
        "./configs/msm/pretrain-toys-tiny",
    ],
)  # fmt: skip
def test_a_config_has_a_name(configs, name):
    assert find_config(name, [configs]) == configs / "msm/pretrain-toys-tiny.py"


def test_a_config_may_be_a_file(configs):
    path = configs / "msm/probe-toys.py"
    assert find_config(str(path), []) == path


def test_an_unknown_name_gets_the_nearest(configs):
    with pytest.raises(FileNotFoundError, match=r"'pretrain-toy-tini'.*did you mean 'pretrain-toys-tiny'"):
        find_config("pretrain-toy-tini", [configs])
    with pytest.raises(FileNotFoundError, match="there are: pretrain-toys-tiny, probe-toys"):
        find_config("0000", [configs])


def test_defaults_are_filled_in_and_options_win(tmp_path):
    cfg = load_run_config(toy.write_config(tmp_path), ["epoch=6", "max_steps=7", "data.train.scenes=5"])
    assert (cfg.epoch, cfg.data.train.loop, cfg.max_steps, cfg.data.train.scenes) == (6, 3, 7, 5)
    assert (cfg.enable_wandb, cfg.weight, cfg.mix_prob, cfg.train.type) == (False, None, 0, "DefaultTrainer")
    assert cfg.save_path == "exp/msm/toy" and not (tmp_path / "run").exists(), "loading changes nothing on disk"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("epochs=3", "'epochs' is unknown.*epoch"),
        ("model.droput=0.2", "droput"),
        ("epoch=5", "multiple of eval_epoch"),
    ],
)
def test_wrong_options_are_refused(tmp_path, option, message):
    with pytest.raises(ValueError, match=message):
        load_run_config(toy.write_config(tmp_path), [option])


def test_a_seed_is_drawn_and_kept(tmp_path):
    path, options = toy.write_config(tmp_path, seed=None), [f"save_path={tmp_path}/run"]
    cfg = default_config_parser(path, options)
    assert isinstance(cfg.seed, int)
    again = load_run_config(tmp_path / "run/config.py", options)
    assert again.seed == cfg.seed and again.model == cfg.model


def test_a_resumed_run_reads_its_own_config(tmp_path):
    options = [f"save_path={tmp_path}/run"]
    default_config_parser(toy.write_config(tmp_path), [*options, "optimizer.lr=0.125"])
    (tmp_path / "run/model/model_last.pth").write_bytes(b"x")
    path = toy.write_config(tmp_path, epoch=40)  # edited since
    cfg = load_run_config(path, [*options, "resume=true", "num_worker=1"])
    assert (cfg.epoch, cfg.optimizer.lr, cfg.num_worker) == (4, 0.125, 1)
    assert cfg.resume and cfg.weight == str(tmp_path / "run/model/model_last.pth")


def test_a_run_is_not_written_over(tmp_path):
    cfg = default_config_parser(toy.write_config(tmp_path), [f"save_path={tmp_path}/run"])
    refuse_overwrite(cfg)
    (tmp_path / "run/model/model_last.prev.pth").write_bytes(b"x")
    assert find_last_checkpoint(tmp_path / "run")
    with pytest.raises(FileExistsError, match=r"choose another name \(-n\), go on with it \(-r true\), or delete it"):
        refuse_overwrite(cfg)
    cfg.resume = True
    refuse_overwrite(cfg)


def test_shares(tmp_path, monkeypatch):
    cfg = load_run_config(toy.write_config(tmp_path), ["batch_size=6", "num_worker=5", "batch_size_val=2"])
    monkeypatch.setattr("pointcept_msm.runtime.comm.get_world_size", lambda: 2)
    default_setup(cfg)
    shares = cfg.batch_size_per_gpu, cfg.batch_size_val_per_gpu, cfg.batch_size_test_per_gpu, cfg.num_worker_per_gpu
    assert shares == (3, 1, 1, 2)
    cfg.batch_size = 5
    with pytest.raises(ValueError, match="batch_size is 5 and the number of processes is 2"):
        default_setup(cfg)

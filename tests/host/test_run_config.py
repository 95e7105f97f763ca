"""From a config name and options to a run: names, defaults, option values and keys, resumed configs."""

import pytest

from pointcept_msm.host import MODELS, Config, register
from pointcept_msm.host.run_config import (
    check_changes,
    find_config,
    find_last_checkpoint,
    load_run_config,
    merge_options,
    parse_value,
    prepare_run,
    read_config,
    refuse_overwrite,
)
from pointcept_msm.runtime.errors import UserError
from tests import toy
from tests.engines.test_checkpointer import assert_same_run, resume, train


@pytest.fixture
def configs(tmp_path):
    root = tmp_path / "configs"
    for name in ("msm/pretrain-toys-tiny", "msm/probe-toys", "msm/in/probe-toys-tiny", "msm/_base_/rooms"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).with_suffix(".py").write_text('"""A config."""\n')
    return root


@pytest.mark.parametrize("name", ["pretrain-toys-tiny", "msm/pretrain-toys-tiny", "./configs/msm/pretrain-toys-tiny"])
def test_a_config_has_a_name(configs, name):
    path = configs / "msm/pretrain-toys-tiny.py"
    assert find_config(name, [configs]) == path == find_config(str(path), [])
    with pytest.raises(UserError, match=r"'pretrain-toy-tini'.*did you mean 'pretrain-toys-tiny'"):
        find_config("pretrain-toy-tini", [configs])
    for name in ("in/probe-toys-tiny", "msm/in/probe-toys-tiny", "probe-toys-tiny"):
        assert find_config(name, [configs]) == configs / "msm/in/probe-toys-tiny.py"


def test_a_config_without_its_base_says_where_such_a_one_is(tmp_path):
    (tmp_path / "own.py").write_text('_base_ = ["../sonata/base.py"]\n')
    with pytest.raises(UserError, match=r"own\.py extends .*sonata/base\.py.*path in Pointcept's checkout"):
        read_config(tmp_path / "own.py")


def test_defaults_are_filled_in_and_options_win(tmp_path):
    cfg = load_run_config(toy.write_config(tmp_path), ["epoch=6", "max_steps=7", "data.train.scenes=5"])
    assert (cfg.epoch, cfg.data.train.loop, cfg.max_steps, cfg.data.train.scenes) == (6, 3, 7, 5)
    assert (cfg.weight, cfg.mix_prob, cfg.train.type) == (None, 0, "MSMTrainer")
    assert cfg.save_path == "exp/msm/toy" and not (tmp_path / "run").exists(), "loading changes nothing on disk"
    with pytest.raises(UserError, match="epoch must be a multiple"):
        load_run_config(toy.write_config(tmp_path), ["epoch=5"])


def test_a_seed_is_drawn_and_kept(tmp_path):
    path, options = toy.write_config(tmp_path, seed=None), [f"save_path={tmp_path}/run"]
    cfg = prepare_run(load_run_config(path, options))
    assert isinstance(cfg.seed, int)
    again = load_run_config(tmp_path / "run/config.py", options)
    assert again.seed == cfg.seed and again.model == cfg.model


def test_a_resumed_run_reads_its_own_config(tmp_path):
    options = [f"save_path={tmp_path}/run"]
    prepare_run(load_run_config(toy.write_config(tmp_path), [*options, "optimizer.lr=0.125"]))
    (tmp_path / "run/model/model_last.pth").write_bytes(b"x")
    path = toy.write_config(tmp_path, epoch=40)  # edited since
    cfg = load_run_config(path, [*options, "resume=true", "num_worker=1"])
    assert (cfg.epoch, cfg.optimizer.lr, cfg.num_worker) == (4, 0.125, 1)
    assert cfg.resume and cfg.weight == str(tmp_path / "run/model/model_last.pth")


def test_a_run_is_not_written_over(tmp_path):
    cfg = prepare_run(load_run_config(toy.write_config(tmp_path), [f"save_path={tmp_path}/run"]))
    refuse_overwrite(cfg)
    (tmp_path / "run/model/model_last.prev.pth").write_bytes(b"x")
    assert find_last_checkpoint(tmp_path / "run")
    with pytest.raises(UserError, match=r"choose another name \(-n\), go on with it \(-r true\), or delete it"):
        refuse_overwrite(cfg)
    cfg.resume = True
    refuse_overwrite(cfg)


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3), ("3e-4", 3e-4), ("True", True), ("false", False), ("none", None), ("name", "name"),
        ("data/scan net", "data/scan net"), ("'3'", "3"), ("1,2", [1, 2]), ("[1,2.5]", [1, 2.5]), ("(1,2)", (1, 2)),
        ("(0.4,)", (0.4,)), ("a,b", ["a", "b"]), ("[max,false]", ["max", False]), ("[student]", ["student"]),
        ("'a,b'", "a,b"), ("[]", []), ("{'a': 1}", {"a": 1}), ("a=b", "a=b"), ("", ""), ("(unclosed", "(unclosed"),
    ],
)  # fmt: skip
def test_values(text, value):
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


class Plain:
    def __init__(self, width=8, rate=0.1):
        pass


class Derived(Plain):
    def __init__(self, depth=2, **kwargs):
        super().__init__(**kwargs)


class Open:
    def __init__(self, keys, **kwargs):
        pass


@pytest.fixture
def config():
    for name, cls in dict(MSMPlain=Plain, MSMDerived=Derived, MSMOpen=Open).items():
        register(MODELS, name)(cls)
    train = dict(data_root="data/a", transform=[dict(grid_size=0.02), dict(grid_size=0.1)])
    yield Config(
        dict(
            epoch=10,
            grid_size=0.02,
            data_root="data/a",
            weight=None,
            model=dict(type="MSMPlain", width=4, head=dict(weight=None)),
            derived=dict(type="MSMDerived"),
            free=dict(type="MSMOpen", keys=[]),
            hooks=[dict(type="MSMPlain", width=1), dict(type="MSMPlain", width=2)],
            sizes=(1, 2),
            data=dict(train=train, val=dict(data_root="data/b")),
        )
    )
    for name in ("MSMPlain", "MSMDerived", "MSMOpen"):
        MODELS.module_dict.pop(name)


def test_keys_of_the_config_and_arguments_of_its_classes_may_be_set(config):
    same = merge_options(
        config, ["epoch=20", "model.width=16", "hooks.1.width=5", "hooks.-2.width=6", "weight=w=1.pth"]
    )
    assert same is config and (config.epoch, config.model.width, config.weight) == (20, 16, "w=1.pth")
    assert [hook.width for hook in config.hooks] == [6, 5]
    merge_options(config, ["model.rate=0.5", "derived.depth=3", "derived.width=9", "free.anything=1"])
    assert (config.model.rate, config.derived.depth, config.derived.width, config.free.anything) == (0.5, 3, 9, 1)


def test_repeated_scalars_follow_the_top_level_and_deeper_keys_change_one_place(config):
    merge_options(config, ["data_root=data/c", "grid_size=0.05", "weight=w.pth"])
    assert (config.data.train.data_root, config.data.val.data_root) == ("data/c", "data/b")
    assert [transform.grid_size for transform in config.data.train.transform] == [0.05, 0.1]
    assert config.model.head.weight is None  # None stands for "nothing", not for a repeated value
    merge_options(config, ["data.train.data_root=data/d"])
    assert (config.data_root, config.data.train.data_root) == ("data/c", "data/d")


@pytest.mark.parametrize(
    "option, message",
    [
        ("epochs=3", "did you mean 'epoch'"),
        ("model.widht=3", "did you mean 'model.width'"),
        ("model.rat=3", "did you mean 'model.rate'"),
        ("derived.dept=3", "did you mean 'derived.depth'"),
        ("modle.width=3", "did you mean 'model.width'"),
        ("hooks.2.width=3", "nothing reads '2' there"),
        ("sizes.0=3", "nothing reads '0' there"),
        ("epoch.x=3", "nothing reads 'x' there"),
        ("epoch", "not of the form key=value"),
    ],
)
def test_what_nothing_reads_is_refused(config, option, message):
    before = config.to_dict()
    with pytest.raises(UserError, match=message):
        merge_options(config, [option])
    assert config.to_dict() == before


def test_changes_on_resume_are_said_or_refused():
    before = dict(num_worker=0, log_every=1, clip_grad=1.0, model=dict(dropout=0.1), optimizer=dict(lr=0.1))
    said = check_changes(before, dict(before, num_worker=4, log_every=9, clip_grad=2.0, resume=True, mix_prob=0.1))
    assert [sentence.split(" is not what the run was started with")[0] for sentence in said] == [
        "clip_grad",
        "mix_prob",
    ]
    for key in ("optimizer", "scheduler", "param_dicts"):
        with pytest.raises(UserError, match=rf"^{key} cannot be changed from .* to .*new run .*-w"):
            check_changes(before, {**before, key: dict(lr=0.2)})


def test_a_resumed_run_says_what_changed_and_keeps_its_config(tmp_path):
    hooks = toy.BASE["hooks"]
    train(tmp_path, ["max_steps=3"], hooks=hooks)
    written = (tmp_path / "run/config.py").read_text()
    resume(tmp_path, ["num_worker=1", "clip_grad=0.5"], hooks=hooks)
    log = (tmp_path / "run/train.log").read_text()
    assert "WARNING] clip_grad is not what the run was started with" in log and "num_worker is not" not in log
    assert (tmp_path / "run/config.py").read_text() == written


def test_a_refused_change_leaves_the_run_as_it_was(tmp_path):
    """Refused before anything is written; without the option the run goes on to the same end as one never cut."""
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    train(tmp_path / "whole")
    train(tmp_path / "cut", ["max_steps=16"])
    before = {path: path.read_bytes() for path in (tmp_path / "cut/run").rglob("*") if path.is_file()}
    for option in ("optimizer.lr=0.3", "scheduler.pct_start=0.5"):
        with pytest.raises(UserError, match=f"^{option.split('.')[0]} cannot be changed"):
            resume(tmp_path / "cut", [option])
    assert {path: path.read_bytes() for path in (tmp_path / "cut/run").rglob("*") if path.is_file()} == before
    resume(tmp_path / "cut")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")

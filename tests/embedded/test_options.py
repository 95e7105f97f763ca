"""Command-line options: values, dotted keys, refusal of what nothing reads."""

import pytest

from pointcept_msm.embedded.config import Config
from pointcept_msm.embedded.options import merge_options, parse_value
from pointcept_msm.host import DATASETS, MODELS, register


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
            data=dict(
                train=dict(data_root="data/a", transform=[dict(grid_size=0.02), dict(grid_size=0.1)]),
                val=dict(data_root="data/b"),
            ),
        )
    )
    for name in ("MSMPlain", "MSMDerived", "MSMOpen"):
        MODELS.module_dict.pop(name)


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("3e-4", 3e-4),
        ("True", True),
        ("false", False),
        ("none", None),
        ("None", None),
        ("name", "name"),
        ("data/scan net", "data/scan net"),
        ("'3'", "3"),
        ("1,2", [1, 2]),
        ("[1,2.5]", [1, 2.5]),
        ("(1,2)", (1, 2)),
        ("(0.4,)", (0.4,)),
        ("a,b", ["a", "b"]),
        ("[max,false]", ["max", False]),
        ("(a,[1,none])", ("a", [1, None])),
        ("(1,2),(3,4)", [(1, 2), (3, 4)]),
        ("'a,b'", "a,b"),
        ("[]", []),
        ("{'a': 1}", {"a": 1}),
        ("a=b", "a=b"),
        ("", ""),
        ("(unclosed", "(unclosed"),
    ],
)
def test_values(text, value):
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


def test_existing_keys_change_in_place(config):
    same = merge_options(
        config, ["epoch=20", "model.width=16", "hooks.1.width=5", "hooks.-2.width=6", "weight=w=1.pth"]
    )
    assert same is config
    assert (config.epoch, config.model.width, config.weight) == (20, 16, "w=1.pth")
    assert [hook.width for hook in config.hooks] == [6, 5]


def test_constructor_arguments_may_be_set(config):
    merge_options(config, ["model.rate=0.5", "derived.depth=3", "derived.width=9", "free.anything=1"])
    assert (config.model.rate, config.derived.depth, config.derived.width, config.free.anything) == (0.5, 3, 9, 1)


def test_repeated_scalars_follow_the_top_level(config):
    merge_options(config, ["data_root=data/c", "grid_size=0.05", "weight=w.pth"])
    assert (config.data.train.data_root, config.data.val.data_root) == ("data/c", "data/b")
    assert [transform.grid_size for transform in config.data.train.transform] == [0.05, 0.1]
    assert config.model.head.weight is None  # None stands for "nothing", not for a repeated value


def test_deeper_key_changes_one_place(config):
    merge_options(config, ["data.train.data_root=data/c"])
    assert (config.data_root, config.data.train.data_root) == ("data/a", "data/c")


@pytest.mark.parametrize(
    "option, message",
    [
        ("epochs=3", "did you mean 'epoch'"),
        ("model.widht=3", "model takes no 'widht'; did you mean 'model.width'"),
        ("model.rat=3", "did you mean 'model.rate'"),
        ("derived.dept=3", "did you mean 'derived.depth'"),
        ("width=3", "did you mean '(model|derived|hooks.*).width'"),
        ("modle.width=3", "did you mean 'model.width'"),
        ("hooks.2.width=3", "hooks is a list of 2, so '2' is no index"),
        ("hooks.x=3", "'x' is no index"),
        ("sizes.0=3", "sizes is a tuple"),
        ("epoch.x=3", "epoch is 10, which has no entries"),
        ("model.rate.x=3", "has no 'rate' yet"),
        ("epoch", "not of the form key=value"),
        ("=3", "not of the form key=value"),
    ],
)
def test_what_nothing_reads_is_refused(config, option, message):
    before = config.to_dict()
    with pytest.raises(ValueError, match=message):
        merge_options(config, [option])
    assert config.to_dict() == before


def test_no_options_is_fine(config):
    assert merge_options(config, None) is merge_options(config, [])


def test_arguments_of_inherited_dataset_constructors():
    config = Config(dict(data=dict(type="ScanNetDataset", lr_file=None)))
    assert "ScanNetDataset" in DATASETS.module_dict
    merge_options(config, ["data.loop=3", "data.la_file=x"])
    assert (config.data.loop, config.data.la_file) == (3, "x")
    with pytest.raises(ValueError, match=r"did you mean 'data\.ignore_index'"):
        merge_options(config, ["data.ignore_indx=3"])

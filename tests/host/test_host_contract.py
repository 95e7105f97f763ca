"""What the rest of the package relies on in either host; test_in_pointcept.py runs this file in a real Pointcept."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from pointcept_msm import host
from pointcept_msm.host import DATASETS, MODELS, TRANSFORMS, Compose, Config, build_model
from pointcept_msm.host.run_config import merge_options
from pointcept_msm.runtime.errors import UserError


def test_host_is_the_one_asked_for():
    assert os.environ["MSM_HOST"] == host.HOST


def test_importing_the_package_has_registered_the_datasets():
    assert "MSMScenesDataset" in DATASETS.module_dict


def test_unknown_name_is_named():
    with pytest.raises((KeyError, UserError), match="MSM-Nowhere"):
        build_model(dict(type="MSM-Nowhere"))


def test_build_model_copies_its_config():
    class Greedy:
        def __init__(self, parts):
            self.first = parts.pop()

    host.register(MODELS, "MSM-Greedy")(Greedy)
    config = Config(dict(model=dict(type="MSM-Greedy", parts=[1, 2])))
    assert build_model(config.model).first == 2
    assert list(config.model.parts) == [1, 2] and config.model.type == "MSM-Greedy"
    MODELS.module_dict.pop("MSM-Greedy")


def test_compose_applies_in_order_and_none_is_nothing():
    class Append:
        def __init__(self, value):
            self.value = value

        def __call__(self, data):
            return [*data, self.value]

    host.register(TRANSFORMS, "MSMAppend")(Append)
    assert Compose([dict(type="MSMAppend", value=i) for i in (3, 1)])([]) == [3, 1]
    assert Compose(None)([]) == []
    TRANSFORMS.module_dict.pop("MSMAppend")


def write_configs(folder: Path) -> Path:
    (folder / "base.py").write_text(
        'custom_imports = dict(imports=["pointcept_msm"], allow_failed_imports=False)\n'
        'model = dict(type="A", width=1, deep=dict(a=1, b=2), gone=dict(x=1))\nsteps = [1, 2, 3]\nseed = 1\n'
    )
    (folder / "child.py").write_text(
        '_base_ = ["./base.py"]\nseed = 5\nsteps = [9]\n'
        "model = dict(width=2, deep=dict(b=3), gone=dict(_delete_=True, y=2))\n"
    )
    return folder / "child.py"


def test_config_inherits_and_dumps(tmp_path):
    config = Config.fromfile(str(write_configs(tmp_path)))
    config.dump(str(tmp_path / "dumped.py"))
    for read in (config, Config.fromfile(str(tmp_path / "dumped.py"))):
        assert (read.seed, list(read.steps), read.model.type, read.model.width) == (5, [9], "A", 2)
        assert dict(read.model.deep) == dict(a=1, b=3) and dict(read.model.gone) == dict(y=2)
        assert list(read.custom_imports["imports"]) == ["pointcept_msm"]


def test_options_merge_into_the_hosts_config():
    data = dict(type="MSMScenesDataset", data_root="a", split="train")
    config = Config(dict(data_root="a", steps=[dict(x=1)], data=dict(train=data)))
    merge_options(config, ["data_root=b", "data.train.min_points=5", "data.train.cache=true", "steps.0.x=none"])
    assert (config.data_root, config.data.train.data_root, config.data.train.min_points) == ("b", "b", 5)
    assert config.data.train.cache is True and config.steps[0].x is None
    with pytest.raises(ValueError, match=r"did you mean 'data\.train\.split'"):
        merge_options(config, ["data.train.splt=val"])


@pytest.mark.skipif(host.HOST == "embedded", reason="torchrun's processes read the config themselves")
def test_unpickling_a_config_elsewhere_registers_our_classes(tmp_path):
    """What happens in a spawned worker: nothing but the pickled config reaches it."""
    config = Config.fromfile(str(write_configs(tmp_path)))
    program = (
        "import pickle, sys; config = pickle.load(sys.stdin.buffer); assert 'pointcept_msm' in sys.modules;"
        "from pointcept_msm.host import HOST, DATASETS; assert 'MSMScenesDataset' in DATASETS.module_dict;"
        "print(HOST, config.model.width, config.seed)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(config), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert done.stdout.decode().split()[-3:] == [host.HOST, "2", "5"]


RELOAD = """
import importlib, sys, pointcept_msm
from pointcept_msm import host
ours = lambda: {(r.name, n): c for r in host.REGISTRIES for n, c in r.module_dict.items() if n.startswith("MSM")}
before = ours()
for name in sorted({cls.__module__ for cls in before.values()}):
    importlib.reload(sys.modules[name])
after = ours()
assert before.keys() == after.keys()
print(sum(before[key] is not after[key] for key in before), len(before))
"""


def test_registering_again_changes_nothing():
    """What an import under a second name does: the same classes register anew, without a KeyError."""
    done = subprocess.run([sys.executable, "-c", RELOAD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    renewed, known = map(int, done.stdout.split()[-2:])
    assert renewed == known > 15

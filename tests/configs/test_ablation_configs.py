"""Each ablation of the table changes what its options say, on each base it is for, and nothing else."""

import pytest
from mmengine.config import Config

from pointcept_msm.host import build_model
from pointcept_msm.host.run_config import load_run_config
from tests.configs.documented_commands import CONFIG_FOLDER

ABLATIONS = Config.fromfile(str(CONFIG_FOLDER / "_base_" / "ablations.py")).ablations
ANY = ["pretrain-rooms-tiny", "pretrain-scannet-4cm", "pretrain-scannet"]
CASES = [(entry, base) for entry in ABLATIONS for base in entry.get("bases", ANY)]
ANCHORS = (".backbone.", ".views")  # names at the top whose objects the model and the data refer to


def flatten(node, path=""):
    if not hasattr(node, "items"):
        return {path: node}
    return {key: value for name, child in node.items() for key, value in flatten(child, f"{path}.{name}").items()}


def name_of(value):
    return value if isinstance(value, str) else value["name"]


def count(cfg):
    return sum(parameter.numel() for parameter in build_model(cfg.model.backbone).parameters())


@pytest.mark.parametrize("entry, base", CASES, ids=name_of)
def test_it_changes_its_options_and_nothing_else(entry, base):
    ours, theirs = load_run_config(base, entry.options), load_run_config(base)
    old, new = flatten(theirs._cfg_dict), flatten(ours._cfg_dict)
    changed = {key[1:] for key in new if new[key] != old.get(key, "absent") and not key.startswith(ANCHORS)}
    if entry.name == "full-view":
        assert changed == {"data.train.transform"} and ours.data.train.transform[0].student_crop == (1.0, 1.0)
    else:
        assert changed == {option.split("=")[0] for option in entry.options}
    assert not old.keys() - new.keys()
    if "tiny" in base:
        assert hasattr(build_model(ours.model), "student")


@pytest.mark.parametrize("entry, base", [case for case in CASES if "bases" in case[0]], ids=name_of)
def test_layer_types_alone_have_as_many_parameters_as_the_hybrid(entry, base):
    cfg = load_run_config(base, entry.options)
    gone = "attn" if entry.name == "conv-only" else "conv"
    assert not any(depth for side in ("enc", "dec") for depth in cfg.model.backbone[f"{side}_{gone}_depths"])
    assert abs(count(cfg) / count(load_run_config(base)) - 1) < 0.1


def test_the_papers_table_is_whole():
    paper = {tuple(entry.paper) for entry in ABLATIONS if entry.paper}
    assert paper == {("10a", 50.7), ("10b", 60.5), ("10c", 62.4), ("10d", 61.8), ("10d", 52.3)}
    names = [(entry.name, base) for entry in ABLATIONS for base in entry.get("bases", ["any"])]
    assert len(names) == len(set(names))

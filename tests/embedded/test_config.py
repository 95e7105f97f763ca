"""Config files of the embedded host: defaults, imports, errors (inheritance and pickling: tests/host)."""

import copy
import pickle

import pytest

from pointcept_msm.embedded.config import RUNTIME_DEFAULTS, Config


def write(folder, text):
    (folder / "config.py").write_text(text)
    return folder / "config.py"


def test_absent_keys_take_the_defaults_and_given_ones_stay(tmp_path):
    config = Config.fromfile(write(tmp_path, 'batch_size = 3\nmodel = dict(type="A")\n'))
    assert (config.batch_size, config.epoch, config.seed, config.enable_wandb) == (3, 100, None, False)
    config.num_worker = 7
    assert RUNTIME_DEFAULTS["num_worker"] == 16


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere.py"):
        Config.fromfile("nowhere.py")


def test_failed_custom_import_names_the_module(tmp_path):
    text = 'custom_imports = dict(imports=["a_module_nobody_has"], allow_failed_imports={})'
    with pytest.raises(ImportError, match="'a_module_nobody_has', which cannot be imported"):
        Config.fromfile(write(tmp_path, text.format(False)))
    assert Config.fromfile(write(tmp_path, text.format(True))).epoch == 100


def test_custom_imports_run(tmp_path, monkeypatch):
    (tmp_path / "imported_by_config.py").write_text("import os\nos.environ['IMPORTED_BY_CONFIG'] = '1'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("IMPORTED_BY_CONFIG", raising=False)
    Config.fromfile(write(tmp_path, 'custom_imports = dict(imports="imported_by_config")'))
    import os

    assert os.environ.pop("IMPORTED_BY_CONFIG") == "1"


def test_helpers_of_a_config_file_do_not_become_keys(tmp_path):
    config = Config.fromfile(write(tmp_path, "import math\nwidth = math.floor(2.5)\n"))
    assert config.width == 2 and "math" not in config


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))])
def test_copies_are_independent(tmp_path, duplicate):
    config = Config.fromfile(write(tmp_path, "model = dict(parts=[1, 2])\n"))
    other = duplicate(config)
    other.model.parts.append(3)
    assert type(other) is Config and config.model.parts == [1, 2] and other.model.parts == [1, 2, 3]
    assert other.filename == config.filename

"""Files that Pointcept's scripts overwrite or reuse."""

from pointcept_msm.host.run_files import keep_train_config, restore_train_config, set_aside_results


def test_a_tests_config_does_not_replace_the_trainings(tmp_path):
    (tmp_path / "config.py").write_text("training = 1")
    keep_train_config(tmp_path)
    assert not restore_train_config(tmp_path)
    (tmp_path / "config.py").write_text("testing = 1")
    assert restore_train_config(tmp_path)
    assert (tmp_path / "config.py").read_text() == "training = 1"
    assert (tmp_path / "test_config.py").read_text() == "testing = 1"
    assert not restore_train_config(tmp_path)


def test_a_folder_without_a_training_is_left_as_it_is(tmp_path):
    keep_train_config(tmp_path)
    (tmp_path / "config.py").write_text("testing = 1")
    assert not restore_train_config(tmp_path)
    assert (tmp_path / "config.py").read_text() == "testing = 1"


def test_predictions_of_another_network_are_moved_and_its_own_are_kept(tmp_path):
    result = tmp_path / "result"
    assert set_aside_results(tmp_path, "weights a") is None
    (result / "scene_pred.npy").write_text("a")
    assert set_aside_results(tmp_path, "weights a") is None
    assert (result / "scene_pred.npy").read_text() == "a"
    assert set_aside_results(tmp_path, "weights b") == tmp_path / "result-1"
    assert not list(result.glob("*_pred.npy")) and (tmp_path / "result-1" / "scene_pred.npy").read_text() == "a"


def test_predictions_of_an_unknown_network_are_moved(tmp_path):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "scene_pred.npy").write_text("whose?")
    assert set_aside_results(tmp_path, "weights a") == tmp_path / "result-1"

"""A config for every class that the package registers in Pointcept; as a script it builds them in spawned workers.

python every_class.py CONFIG FOLDER      CONFIG imports the package by custom_imports, FOLDER holds scenes
"""

import sys

import torch.multiprocessing


def list_configs(folder: str) -> dict:
    """Registry's name -> class's name -> config."""
    from tests.host.miniature import MODEL, NETWORK, SPUNET

    scenes = dict(data_root=folder, split="train")
    return {
        "models": [
            NETWORK,
            SPUNET,
            MODEL,
            dict(type="MSM-Contrastive-v1m1", backbone=NETWORK),
            dict(type="MSM-Segmentor-v1m1", backbone=NETWORK, num_classes=3),
            dict(type="MSM-Probe-v1m1", backbone=NETWORK, num_classes=3),
            dict(type="MSM-Detection-v1m1", in_channels=8, num_classes=3, layers=2, width=16),
            dict(type="MSM-Grounding-v1m1", in_channels=8, vocabulary=("chair",), width=16),
        ],
        "losses": [dict(type="MSMLoss"), dict(type="MSMSegmentationLoss")],
        "datasets": [
            dict(type="MSMScenesDataset", **scenes),
            dict(type="MSMRoomsDataset", data_root=f"{folder}/rooms", split="train", rooms=1, points=1000),
            dict(type="MSMSceneHalfDataset", scene=f"{folder}/train/scene0"),
            dict(type="MSMVoteNetDataset", data_root=f"{folder}/votenet", split="train"),
        ],
        "transforms": [
            dict(type="MSMViews"),
            dict(type="MSMInput"),
            dict(type="MSMNormalizeColor"),
            dict(type="MSMDropInputs"),
        ],
        "hooks": [
            dict(type=f"MSM{name}")
            for name in (
                "Checkpointer",
                "CollapseMonitor",
                "MaskingHook",
                "MetricsWriter",
                "ProbeEvaluator",
                "SemSegEvaluator",
                "TeacherHook",
            )
        ],
        "trainers": [dict(type="MSMTrainer")],
        "testers": [dict(type="MSMProbeTester"), dict(type="MSMTaskTester", things=(0,)), dict(type="MSMSemSegTester")],
    }


def build_every_class(cfg, folder: str) -> list[str]:
    """Build all of them; returns the names, which must be all that start with MSM."""
    from pointcept_msm.host import REGISTRIES
    from tests.datasets.votenet_folder import write_votenet_folder
    from tests.host.miniature import MODEL, build, make_batches, make_config, make_trainer, write_scenes

    write_scenes(folder)
    write_votenet_folder(f"{folder}/votenet", train=1)
    configs, built = list_configs(folder), []
    for registry in REGISTRIES:
        wanted = {name for name in registry.module_dict if name.startswith("MSM")}
        given = configs.get(registry.name.lower(), [])
        assert wanted == {config["type"] for config in given}, f"{registry.name}: {wanted} registered, {given} listed"
        for config in given:
            if registry.name == "trainers":
                make_trainer(make_config(f"{folder}/run"), make_batches(1))
            elif registry.name == "testers":
                own = dict(model=build(MODEL), test_loader=[]) if config["type"] == "MSMSemSegTester" else {}
                cfg = make_config(f"{folder}/run", data=dict(train=dict(type="ListLoader"), num_classes=3))
                registry.build(dict(config, cfg=cfg, **own))
            else:
                (build if registry.name == "models" else registry.build)(dict(config))
            built.append(config["type"])
    return built


def worker(rank: int, cfg, folder: str) -> None:
    """A spawned process: nothing has imported the package but the unpickling of cfg."""
    assert "pointcept_msm" in sys.modules, "unpickling the config did not import the package"
    sys.path.insert(0, cfg.repository)
    names = build_every_class(cfg, f"{folder}/{rank}")
    print(f"worker {rank} built {len(names)} classes", flush=True)


if __name__ == "__main__":
    from pointcept.utils.config import Config

    config = Config.fromfile(sys.argv[1])
    config.repository = __file__.rsplit("/tests/", 1)[0]
    torch.multiprocessing.spawn(worker, nprocs=2, args=(config, sys.argv[2]))

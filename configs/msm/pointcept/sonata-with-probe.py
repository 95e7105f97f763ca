"""This package's probe inside another method's training: Pointcept's own Sonata recipe plus MSMProbeEvaluator.

Command:  sh scripts/train.sh -d msm -c pointcept/sonata-with-probe -n sonata -g 32
Data:     what configs/sonata/pretrain-sonata-v1m1-0-base.py needs; the probe reads labelled ScanNet train scenes.
Hardware: as there; not run on a GPU by us yet. Tiny twin: sonata-with-probe-tiny.py.
Expected: a log line "probe after epoch ..." every ten epochs, and model_best.pth by it.
"""

_base_ = ["../../sonata/pretrain-sonata-v1m1-0-base.py"]  # resolved beside the link configs/msm in Pointcept

custom_imports = dict(imports=["pointcept_msm"], allow_failed_imports=False)
enable_wandb = False
evaluate = True  # for model_best.pth; makes Pointcept ask for data.val
hooks = [
    dict(type="CheckpointLoader"),
    dict(type="ModelHook"),
    dict(type="WeightDecaySchedular", base_value=0.04, final_value=0.2),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="InformationWriter"),
    dict(
        type="MSMProbeEvaluator",
        every=10,
        dataset=dict(type="ScanNetDataset", split="train", data_root="data/scannet"),
        num_classes=20,
        grid_size=0.02,
        feat_keys=("coord", "color", "normal"),
        inputs="pointcept",
        metric="teacher_linear",
    ),
    dict(type="CheckpointSaver", save_freq=5),
]
data = dict(val=dict(type="ScanNetDataset", split="val", data_root="data/scannet"))

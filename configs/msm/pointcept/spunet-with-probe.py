"""This package's probe inside supervised training: Pointcept's own SpUNet recipe on ScanNet plus MSMProbeEvaluator.

Command:  sh scripts/train.sh -d msm -c pointcept/spunet-with-probe -n spunet -g 4
Data:     data/scannet in Pointcept's format.
Hardware: as configs/scannet/semseg-spunet-v1m1-0-base.py; not run on a GPU by us yet.
Expected: a log line "probe after epoch ..." every ten epochs beside the usual validation.
"""

_base_ = ["../../scannet/semseg-spunet-v1m1-0-base.py"]  # resolved beside the link configs/msm in Pointcept

custom_imports = dict(imports=["pointcept_msm"], allow_failed_imports=False)
enable_wandb = False
hooks = [
    dict(type="CheckpointLoader"),
    dict(type="ModelHook"),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="InformationWriter"),
    dict(
        type="MSMProbeEvaluator",
        every=10,
        dataset=dict(type="ScanNetDataset", split="train", data_root="data/scannet"),
        grid_size=0.02,
        feat_keys=("color", "normal"),
        inputs="pointcept",
        metric="backbone_linear",
    ),
    dict(type="SemSegEvaluator"),  # last: model_best.pth goes by its mIoU
    dict(type="CheckpointSaver", save_freq=None),
]
test = dict(type="MSMSemSegTester", verbose=True)

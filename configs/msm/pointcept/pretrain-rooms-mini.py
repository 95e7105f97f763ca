"""A trial of the installation in Pointcept: eight rooms, 16 steps, probed on the way by MSMProbeEvaluator.

Command:  sh scripts/train.sh -d msm -c pointcept/pretrain-rooms-mini -n mini -g 1     (in Pointcept, configs linked)
Data:     made on first use under data/rooms.
Hardware: any GPU, or a CPU with stand-ins for Pointcept's CUDA extensions; a minute or two.
Measured: the loss falls from 6.7 to about 5.5; the probe is no result at this length.
"""

_base_ = ["../pretrain-rooms-tiny.py"]

epoch = 4
eval_epoch = 4
num_worker = 1
evaluate = True
hooks = [
    dict(type="CheckpointLoader"),
    dict(type="MSMMaskingHook"),
    dict(type="MSMTeacherHook", momentum=0.99, final=1.0),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="MSMCollapseMonitor", interval=8),
    dict(type="InformationWriter"),
    dict(type="MSMMetricsWriter"),
    dict(type="MSMProbeEvaluator", every=2, scenes=4, points_per_scene=200),
    dict(type="MSMCheckpointer"),
]
data = dict(
    num_classes=22,
    train=dict(rooms=8),
    val=dict(type="MSMRoomsDataset", split="val", data_root="data/rooms", rooms=2),
)

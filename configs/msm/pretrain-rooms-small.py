"""The tiny recipe for five times as long, with views that lose colour or normals: the shipped weights, msm-tiny-rooms.

Command:  sh tools/train.sh -c configs/msm/pretrain-rooms-small.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/pretrain-rooms-small
Data:     made on first use under data/rooms (64 rooms).
Hardware: two CPU cores, under an hour, 3 GB.
Expected: docs/models/msm-tiny-rooms.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

epoch = 30
eval_epoch = 30
hooks = [
    dict(type="CheckpointLoader"),
    dict(type="MSMMaskingHook"),
    dict(type="MSMTeacherHook", momentum=0.99, final=1.0),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="MSMCollapseMonitor", interval=100),
    dict(type="InformationWriter"),
    dict(type="MSMMetricsWriter"),
    dict(type="MSMProbeEvaluator", every=5, scenes=16, num_classes=22),
    dict(type="MSMCheckpointer"),
]
model = dict(supervise="all")  # masked voxels and visible ones: better features (docs/results.md)
data = dict(
    train=dict(
        transform={{_base_.views_drop}},
    ),
)

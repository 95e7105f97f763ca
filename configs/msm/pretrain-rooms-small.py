"""The tiny recipe for five times as long, with views that lose colour or normals: the shipped weights, msm-tiny-rooms.

Command:  sh tools/train.sh -c configs/msm/pretrain-rooms-small.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/pretrain-rooms-small
Data:     made on first use under data/rooms (64 rooms).
Hardware: two CPU cores, under an hour, 3 GB.
Measured: 50.8 kNN, 45.3 linear, another seed 49.0, 47.9; with and without colour and normals; hiding nothing,
          the contrastive rival, a wider network with and without predictor; 2,048 steps on 512 rooms of it and
          three others (docs/results/pretraining.md, docs/models/msm-tiny-rooms.md). Not at this length: other
          recipes.
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
model = dict(supervise="all")  # masked voxels and visible ones: better features (docs/results/pretraining.md)
data = dict(
    train=dict(
        transform=[
            dict(
                type="MSMViews",
                grid_size=0.08,
                max_voxels=60000,
                student_crop=(0.4, 0.8),
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment=[
                    dict(type="RandomColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.02, p=0.8),
                    dict(type="ChromaticTranslation", p=0.95, ratio=0.05),
                    dict(type="ChromaticJitter", p=0.95, std=0.05),
                    dict(type="MSMDropInputs", drop_color=0.2, drop_normal=0.2),
                ],
            )
        ],
    ),
)

"""The contrastive rival for as long as pretrain-rooms-small, with the same views: InfoNCE between the two crops.

Command:  sh tools/train.sh -c configs/msm/contrastive-rooms-small.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/contrastive-rooms-small
Hardware: as pretrain-rooms-small.py.
Expected: docs/results.md.
"""

_base_ = ["contrastive-rooms-tiny.py"]

epoch = 30
eval_epoch = 30
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

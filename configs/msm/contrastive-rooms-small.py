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
        transform={{_base_.views_drop}},
    ),
)

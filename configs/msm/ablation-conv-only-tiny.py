"""Ablation of pretrain-rooms-tiny: no attention blocks (Table 10d).

Command:  sh tools/train.sh -c configs/msm/ablation-conv-only-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-conv-only-tiny
Network:  One block a level, two at 32 cm: 2.4 M values, 2.3 M with attention.
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(
    backbone=dict(
        enc_conv_depths=(1, 1, 2, 1),
        enc_attn_depths=(0, 0, 0, 0),
        dec_conv_depths=(1, 1, 2, 1),
        dec_attn_depths=(0, 0, 0, 0),
    )
)

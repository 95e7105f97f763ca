"""Ablation of pretrain-rooms-tiny: no convolution blocks (Table 10d).

Command:  sh tools/train.sh -c configs/msm/ablation-attention-only-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-attention-only-tiny
Network:  Attention at every level, deeper where it is coarse: 2.3 M values, as many as the hybrid.
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(
    backbone=dict(
        enc_conv_depths=(0, 0, 0, 0),
        enc_attn_depths=(2, 2, 3, 5),
        dec_conv_depths=(0, 0, 0, 0),
        dec_attn_depths=(2, 2, 3, 5),
    )
)

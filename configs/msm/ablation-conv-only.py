"""Ablation of pretrain-scannet-4cm: no attention blocks (Table 10d).

Command:  sh tools/train.sh -c configs/msm/ablation-conv-only.py -g 4
Network:  Two blocks a level and three at the coarsest: 69.3 M values, 67.0 M with attention.
Hardware: as pretrain-scannet-4cm.py.
Expected: linear probe 61.8 mIoU on ScanNet val against 66.8 (Table 10d), the paper's numbers; ours are not known.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(
    backbone=dict(
        enc_conv_depths=(2, 2, 2, 3),
        enc_attn_depths=(0, 0, 0, 0),
        dec_conv_depths=(2, 2, 2, 3),
        dec_attn_depths=(0, 0, 0, 0),
    )
)

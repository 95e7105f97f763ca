"""Ablation of pretrain-scannet-4cm: no convolution blocks (Table 10d).

Command:  sh tools/train.sh -c configs/msm/ablation-attention-only.py -g 4
Network:  Attention at every level, deeper where it is coarse: 67.8 M values, as many as the hybrid.
Hardware: as pretrain-scannet-4cm.py.
Expected: linear probe 52.3 mIoU on ScanNet val against 66.8 (Table 10d), the paper's numbers; ours are not known.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(
    backbone=dict(
        enc_conv_depths=(0, 0, 0, 0),
        enc_attn_depths=(2, 2, 8, 10),
        dec_conv_depths=(0, 0, 0, 0),
        dec_attn_depths=(2, 2, 8, 10),
    )
)

"""Ablation of pretrain-scannet-4cm: cosine distance in place of info_nce.

Command:  sh tools/train.sh -c configs/msm/ablation-cosine.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(loss=dict(kind="cosine"))

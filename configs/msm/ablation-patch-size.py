"""Ablation of pretrain-scannet-4cm: larger mask patches.

Command:  sh tools/train.sh -c configs/msm/ablation-patch-size.py -g 4
          (other values: -n NAME -- model.mask_patch=0.16)
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(mask_patch=0.64)

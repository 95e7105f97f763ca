"""Ablation of pretrain-scannet-4cm: another mask ratio (Fig. 8; best near 0.4).

Command:  sh tools/train.sh -c configs/msm/ablation-mask-ratio.py -g 4
          (other values: -n NAME -- model.mask_ratio=0.1)
Hardware: as pretrain-scannet-4cm.py.
Expected: not known yet.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(mask_ratio=0.7)

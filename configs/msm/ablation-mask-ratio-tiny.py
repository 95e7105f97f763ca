"""Ablation of pretrain-rooms-tiny: another mask ratio (Fig. 8; best near 0.4).

Command:  sh tools/train.sh -c configs/msm/ablation-mask-ratio-tiny.py
          (other values: -n NAME -- model.mask_ratio=0.1)
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-mask-ratio-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(mask_ratio=0.7)

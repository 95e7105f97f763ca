"""Ablation of pretrain-rooms-tiny: nothing is hidden from the student, the same voxels are supervised (Table 10a).

Command:  sh tools/train.sh -c configs/msm/ablation-no-mask-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-no-mask-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(mask_strategy="unmasked")

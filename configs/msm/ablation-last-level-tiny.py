"""Ablation of pretrain-rooms-tiny: only the finest decoder level is supervised (Table 10b).

Command:  sh tools/train.sh -c configs/msm/ablation-last-level-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-last-level-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(loss_levels=(0,))

"""Ablation of pretrain-rooms-tiny: the target comes from the student's own view.

Command:  sh tools/train.sh -c configs/msm/ablation-same-view-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-same-view-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(target_view="same")

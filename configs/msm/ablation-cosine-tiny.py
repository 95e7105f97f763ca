"""Ablation of pretrain-rooms-tiny: cosine distance in place of info_nce.

Command:  sh tools/train.sh -c configs/msm/ablation-cosine-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/ablation-cosine-tiny
Hardware: as pretrain-rooms-tiny.py.
Expected: docs/results.md.
"""

_base_ = ["pretrain-rooms-tiny.py"]

model = dict(loss=dict(kind="cosine"))

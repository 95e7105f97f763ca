"""Few labels on procedural rooms: linear probes on 1, 5, 10 and 20 % of 64 rooms (1, 3, 6 and 13), and on 20, 50,
100 and 200 labelled points a room.

Command:  sh tools/test.sh -c configs/msm/probe-budgets-rooms-tiny.py -w exp/msm/pretrain-rooms-tiny
Hardware: two CPU cores, two minutes a row and seed.
Expected: docs/results/probes.md.
"""

_base_ = ["probe-rooms-tiny.py"]

test = dict(probes=("linear", "budgets"), points_per_scene=1000, seeds=(0, 1, 2))
data = dict(train=dict(rooms=64))

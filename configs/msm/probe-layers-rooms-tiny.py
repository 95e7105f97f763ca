"""Which levels of the decoder carry the features on procedural rooms (Table 11): linear probes on each alone and on
all but it.

Command:  sh tools/test.sh -c configs/msm/probe-layers-rooms-tiny.py -w exp/msm/pretrain-rooms-tiny
Hardware: two CPU cores, one to two minutes a row.
Expected: docs/results/probes.md.
"""

_base_ = ["probe-rooms-tiny.py"]

test = dict(probes=("linear", "layers"), baselines=("random",))

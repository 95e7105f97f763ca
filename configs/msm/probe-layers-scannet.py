"""Which levels of the decoder carry the features on ScanNet (Table 11): linear probes on each alone and on all but it.

Command:  sh tools/test.sh -c configs/msm/probe-layers-scannet.py -w exp/msm/pretrain-scannet
Hardware: as probe-scannet.py; not run on a GPU by us yet.
Expected: alone 28.3, 43.5, 54.8, 62.8, 62.4 fine to coarse; all but it 67.1, 67.0, 67.0, 66.6, 64.4; all 68.7: the
          paper's numbers; ours are not known yet.
"""

_base_ = ["probe-scannet.py"]

test = dict(probes=("linear", "layers"), baselines=("random",))

"""Ablation of pretrain-scannet-4cm: only the finest decoder level is supervised (Table 10b).

Command:  sh tools/train.sh -c configs/msm/ablation-last-level.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: linear probe 60.5 mIoU on ScanNet val against 66.8 (Table 10b), the paper's numbers; ours are not known.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(loss_levels=(0,))

"""Ablation of pretrain-scannet-4cm: masked voxels enter the encoder with a token (Table 10c).

Command:  sh tools/train.sh -c configs/msm/ablation-top-down.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: linear probe 62.4 mIoU on ScanNet val against 66.8 (Table 10c), the paper's numbers; ours are not known.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(mask_strategy="top_down")

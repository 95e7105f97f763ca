"""Ablation of pretrain-scannet-4cm: nothing is hidden from the student, the same voxels are supervised (Table 10a).

Command:  sh tools/train.sh -c configs/msm/ablation-no-mask.py -g 4
Hardware: as pretrain-scannet-4cm.py.
Expected: linear probe 50.7 mIoU on ScanNet val against 66.8 (Table 10a), the paper's numbers; ours are not known.
"""

_base_ = ["pretrain-scannet-4cm.py"]

model = dict(mask_strategy="unmasked")

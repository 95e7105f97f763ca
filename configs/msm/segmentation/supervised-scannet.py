"""Supervised training of the main network on ScanNet (Table 7, from scratch), by the recipe of Table 19.

Command:  sh tools/train.sh -c configs/msm/segmentation/supervised-scannet.py -g 8
Data:     data/scannet in Pointcept's format (train/<scene>/{coord,color,normal,segment20,segment200,instance}.npy).
Hardware: meant for 8 GPUs at 6 crops of 120,000 voxels each; not run on a GPU by us yet.
Expected: 77.0 mIoU on val, the paper's number (whose recipe from scratch is not stated); ours is not known yet.
"""

_base_ = ["../_base_/segmentation.py", "../_base_/hunet_2cm.py", "../_base_/data_scannet.py"]

epoch = 200
eval_epoch = 100
batch_size = 48
num_worker = 48
enable_amp = True

model = dict(
    type="MSM-Segmentor-v1m1",
    num_classes=20,
    backbone={{_base_.backbone}},
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
)

"""Linear probing of the main network on ScanNet200 in the host's training loop, by the recipe of Table 15.

Command:  sh tools/train.sh -c configs/msm/segmentation/probe-head-scannet200.py -g 4 -- model.weight=FILE
Needs:    the run of pretrain-scannet.py, or another exported network of its size as FILE; data/scannet.
Hardware: meant for 4 GPUs at 2 crops of 120,000 voxels each; not run on a GPU by us yet.
Expected: 26.8 mIoU on val, the paper's number; ours is not known yet.
"""

_base_ = ["../_base_/segmentation.py", "../_base_/hunet_2cm.py", "../_base_/data_scannet200.py"]

epoch = 200
eval_epoch = 20
batch_size = 8
num_worker = 32
enable_amp = True

optimizer = dict(lr=0.01, weight_decay=0.01)
scheduler = dict(max_lr=0.01, pct_start=2 / 200)
param_dicts = None
model = dict(
    type="MSM-Probe-v1m1",
    num_classes=200,
    backbone={{_base_.backbone}},
    weight="exp/msm/pretrain-scannet/student.safetensors",
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
    standard_batches=100,
)

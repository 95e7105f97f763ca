"""Supervised training of the middle-sized network on the 64 labelled rooms that probe-rooms.py fits on: its upper row.

Command:  sh tools/train.sh -c configs/msm/segmentation/supervised-rooms.py -g 1
Data:     made on first use under data/rooms-512. Exported are the last weights, none are chosen on the held-out rooms.
Hardware: meant for one GPU of 24 GB; 1,600 steps of 8 rooms. Not run on a GPU by us yet.
Expected: not known yet; supervised-rooms-tiny.py reaches 65.0 mIoU with a smaller network at 8 cm on 16 rooms.
"""

_base_ = ["../_base_/segmentation.py", "../_base_/hunet_medium.py", "../_base_/data_rooms.py"]

grid_size = 0.04
epoch = 200
eval_epoch = 20
batch_size = 8
num_worker = 8
enable_amp = True

optimizer = dict(lr=0.002)
scheduler = dict(max_lr=0.002, pct_start=0.05)
model = dict(
    type="MSM-Segmentor-v1m1",
    num_classes=22,
    backbone={{_base_.backbone}},
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
)

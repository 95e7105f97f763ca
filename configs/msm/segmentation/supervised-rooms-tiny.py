"""Supervised training of the small network on 16 labelled procedural rooms: what the probes' features are held against.

Command:  sh tools/train.sh -c configs/msm/segmentation/supervised-rooms-tiny.py
          then, for a row in the probe's table:
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/pretrain-rooms-tiny \\
              -- test.supervised=exp/msm/supervised-rooms-tiny/backbone.safetensors
Data:     made on first use under data/rooms. Exported are the last weights, none are chosen on the held-out rooms.
Hardware: two CPU cores; 480 steps of about a second took nine minutes on one busy core.
Expected: 65.0 mIoU on the 8 held-out rooms after the last step (one seed, docs/results/pretraining.md).
"""

_base_ = ["../_base_/segmentation.py", "../_base_/hunet_small.py", "../_base_/data_rooms_tiny.py"]

grid_size = 0.08
epoch = 60
eval_epoch = 3
batch_size = 2
num_worker = 1

optimizer = dict(lr=0.002)
scheduler = dict(max_lr=0.002, pct_start=0.05)
model = dict(
    type="MSM-Segmentor-v1m1",
    num_classes=22,
    backbone={{_base_.backbone}},
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
)

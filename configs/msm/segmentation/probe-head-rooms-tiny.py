"""Linear probing in the host's training loop on procedural rooms: frozen features, one linear layer, Table 15's rates.

Command:  sh tools/train.sh -c configs/msm/segmentation/probe-head-rooms-tiny.py -- model.weight=FILE
Needs:    the run of pretrain-rooms-tiny.py, or another exported network as FILE.
Hardware: two CPU cores, about two minutes.
Expected: near the linear probe of probe-rooms-tiny.py on the same weights.
"""

_base_ = ["../_base_/segmentation.py", "../_base_/hunet_small.py", "../_base_/data_rooms_tiny.py"]

grid_size = 0.08
epoch = 24
eval_epoch = 2
batch_size = 2
num_worker = 1

optimizer = dict(lr=0.01, weight_decay=0.01)
scheduler = dict(max_lr=0.01, pct_start=0.05)
param_dicts = None
model = dict(
    type="MSM-Probe-v1m1",
    num_classes=22,
    backbone={{_base_.backbone}},
    weight="exp/msm/pretrain-rooms-tiny/student.safetensors",
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
    standard_batches=40,  # five passes over the rooms
)
data = dict(
    train=dict(
        transform=[  # not augmented: frozen features that are not yet invariant lose six points by it
            dict(
                type="MSMInput",
                grid_size=0.08,
                feat_keys=("color", "normal"),
                augment=[dict(type="CenterShift", apply_z=True)],
            )
        ],
    ),
)

"""The contrastive rival of pretrain-rooms-tiny: InfoNCE between the two crops; same network, data and steps.

Command:  sh tools/train.sh -c configs/msm/contrastive-rooms-tiny.py
          sh tools/test.sh -c configs/msm/probe-rooms-tiny.py -w exp/msm/contrastive-rooms-tiny
          for as long as pretrain-rooms-small, with its views:
          sh tools/train.sh -c configs/msm/contrastive-rooms-tiny.py -n contrastive-rooms-small -- epoch=30 \\
              eval_epoch=30 drop_color=0.2 drop_normal=0.2
Hardware: as pretrain-rooms-tiny.py; a step takes about as long.
Expected: 192 steps, three seeds, 960 and 2,048 (docs/results/pretraining.md). Not measured: other
          pairs and temperatures.
"""

_base_ = ["_base_/runtime.py", "_base_/pretrain.py", "_base_/views_8cm.py", "_base_/hunet_small.py"]

data_root = "data/rooms"
grid_size = 0.08
epoch = 6
eval_epoch = 6
batch_size = 2
num_worker = 0

param_dicts = [  # as in pre-training, but for the tokens, which this model has not
    dict(keyword="scale", weight_decay=0.0),
    dict(keyword="gamma", weight_decay=0.0),
    dict(keyword="bias", weight_decay=0.0),
]
scheduler = dict(max_lr=0.002, pct_start=0.05)
hooks = [
    dict(type="CheckpointLoader"),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="InformationWriter"),
    dict(type="MSMMetricsWriter"),
    dict(type="MSMCheckpointer"),
]
model = dict(
    type="MSM-Contrastive-v1m1",
    backbone={{_base_.backbone}},
    pairs=4096,
    temperature=0.07,
)
data = dict(
    train=dict(
        type="MSMRoomsDataset",
        split="train",
        data_root="data/rooms",
        rooms=64,
        transform={{_base_.views}},
    ),
)

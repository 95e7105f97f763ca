"""Object detection on frozen features (Tables 8 and 18): ScanNet, 18 classes. 3DETR's decoder; AP by VoteNet's rules.

Command:  sh tools/test.sh -c configs/msm/probes/detect-scannet.py -w exp/msm/pretrain-scannet
          The network trained too: -- test.frozen=False test.baselines=[] test.training.batch_size=4
Data:     data/scannet_votenet as VoteNet's or ScanRefer's script makes it, with meta_data/scannetv2_*.txt in it.
Hardware: meant for one GPU and 32 GB of memory; not run on ScanNet by us yet.
Expected: the paper's numbers: 65.6 AP25 and 40.2 AP50 frozen, 71.3 and 52.2 fine-tuned; ours are not known yet.
"""

_base_ = ["../_base_/runtime.py"]

data_root = "data/scannet_votenet"
epoch = 1
eval_epoch = 1
num_worker = 0
hooks = []

test = dict(
    type="MSMTaskTester",
    task="detection",
    networks=("student",),
    things=tuple(range(2, 20)),  # all but wall and floor
    voxels=0.02,
    points=2048,
    head=dict(queries=256, layers=8, width=256, hidden=256),
    training=dict(
        epochs=1080,
        batch_size=24,
        lr=5e-4,  # 3DETR's; the paper prints 1e-6, which there is the rate that it starts and ends with
        final_lr=1e-6,
        warmup=9,
        weight_decay=0.1,
        clip=0.1,
    ),
)
data = dict(
    num_classes=20,
    train=dict(type="MSMVoteNetDataset", split="train", data_root="data/scannet_votenet"),
    test=dict(type="MSMVoteNetDataset", split="val", data_root="data/scannet_votenet"),
)

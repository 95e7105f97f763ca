"""Joint pre-training in the small: procedural rooms and a folder of other scenes through Pointcept's ConcatDataset.

Command:  sh scripts/train.sh -d msm -c pointcept/pretrain-joint-rooms-mini -n joint-mini -g 1
Data:     made on first use under data/rooms and data/rooms2 (another seed).
Hardware: any GPU, or a CPU; a minute.
Expected: it runs.
"""

_base_ = ["../pretrain-rooms-tiny.py"]

epoch = 2
eval_epoch = 2
num_worker = 1
transform = {{_base_.views}}
data = dict(
    train=dict(
        _delete_=True,
        type="ConcatDataset",
        datasets=[
            dict(type="MSMRoomsDataset", split="train", data_root="data/rooms", rooms=4, transform=transform),
            dict(type="MSMRoomsDataset", split="train", data_root="data/rooms2", rooms=4, seed=1, transform=transform),
        ],
    )
)

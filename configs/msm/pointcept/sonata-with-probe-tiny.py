"""Tiny twin of sonata-with-probe.py: Pointcept's Sonata with a small point transformer on eight procedural rooms.

Command:  sh scripts/train.sh -d msm -c pointcept/sonata-with-probe-tiny -n sonata-tiny -g 1
Data:     made on first use under data/rooms.
Hardware: one GPU, or a CPU with stand-ins for Pointcept's CUDA extensions; minutes.
Expected: a log line "probe after epoch ..." each epoch; no result at this length.
"""

_base_ = ["../../sonata/pretrain-sonata-v1m1-0-base.py"]

custom_imports = dict(imports=["pointcept_msm"], allow_failed_imports=False)
seed = 0
enable_wandb = enable_amp = False
evaluate = True
epoch = eval_epoch = batch_size = 2
num_worker = 1
optimizer, scheduler, param_dicts = dict(lr=0.002), dict(max_lr=0.002), None
model = dict(
    backbone=dict(
        enc_depths=(1,) * 5,
        enc_channels=(16, 32, 48, 64, 96),
        enc_num_head=(1, 2, 3, 4, 6),
        enc_patch_size=(128,) * 5,
        enable_flash=False,
    ),
    head_in_channels=48 + 64 + 96,
    head_hidden_channels=128,
    head_embed_channels=32,
    head_num_prototypes=64,
)
hooks = [
    dict(type="ModelHook"),
    dict(type="WeightDecaySchedular", base_value=0.04, final_value=0.2),
    dict(type="InformationWriter"),
    dict(
        type="MSMProbeEvaluator",
        scenes=4,
        points_per_scene=200,
        num_classes=22,
        grid_size=0.08,
        feat_keys=("coord", "color", "normal"),
        inputs="pointcept",
        metric="teacher_linear",
    ),
    dict(type="CheckpointSaver"),
]
turn = dict(type="RandomRotate", angle=[-1, 1], axis="z", center=[0, 0, 0], p=0.8)
views = dict(
    type="MultiViewGenerator",
    view_keys=("coord", "origin_coord", "color", "normal"),
    global_shared_transform=[dict(type="NormalizeColor")],
    global_transform=[dict(type="CenterShift", apply_z=True), turn],
    local_transform=[dict(type="CenterShift", apply_z=True), turn, dict(type="NormalizeColor")],
    max_size=4096,
)
keys = [f"{view}_{key}" for view in ("global", "local") for key in ("origin_coord", "coord", "color", "offset")]
data = dict(
    train=dict(
        _delete_=True,
        type="MSMRoomsDataset",
        split="train",
        data_root="data/rooms",
        rooms=8,
        transform=[
            dict(type="GridSample", grid_size=0.08, hash_type="fnv", mode="train"),
            dict(type="Copy", keys_dict={"coord": "origin_coord"}),
            views,
            dict(type="ToTensor"),
            dict(type="Update", keys_dict={"grid_size": 0.08}),
            dict(
                type="Collect",
                keys=(*keys, "grid_size", "name"),
                offset_keys_dict=dict(),
                global_feat_keys=("global_coord", "global_color", "global_normal"),
                local_feat_keys=("local_coord", "local_color", "local_normal"),
            ),
        ],
    ),
    val=dict(type="MSMRoomsDataset", split="val", data_root="data/rooms", rooms=2),
)

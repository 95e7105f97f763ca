"""Instance segmentation on ScanNet with the pre-trained network as backbone of Pointcept's own PointGroup.

Command:  sh scripts/train.sh -d msm -c pointcept/insseg-scannet -n insseg -w exp/msm/scannet/model/model_last.pth -g 4
Needs:    a run of pretrain-scannet.py; data/scannet in Pointcept's format; its libs/pointgroup_ops for evaluation.
Hardware: meant for 4 GPUs; not run on a GPU by us yet. One training step on a CPU: tests/host.
Expected: not known yet.
"""

_base_ = ["../../scannet/insseg-pointgroup-v1m1-0-spunet-base.py"]

custom_imports = dict(imports=["pointcept_msm"], allow_failed_imports=False)
enable_wandb = False
model = dict(
    type="PG-v1m1",
    backbone=dict(_delete_=True, type="MSM-HUNet-v1m1", in_channels=6, output="hierarchical"),
    backbone_out_channels=64 + 96 + 128 + 256 + 384,
)
optimizer = dict(_delete_=True, type="AdamW", lr=0.001, weight_decay=0.05)
scheduler = dict(_delete_=True, type="OneCycleLR", max_lr=0.001, pct_start=0.05)
crop = dict(type="SphereCrop", point_max=120000, mode="random")
instances = dict(type="InstanceParser", segment_ignore_index=(-1, 0, 1), instance_ignore_index=-1)
voxels = dict(type="GridSample", grid_size=0.02, hash_type="fnv", mode="train", return_grid_coord=True)
collect = dict(
    type="Collect",
    keys=("coord", "grid_coord", "segment", "instance", "instance_centroid", "bbox"),
    feat_keys=("color", "normal"),
)
origin = dict(coord="origin_coord", segment="origin_segment", instance="origin_instance")
view = [
    dict(type="CenterShift", apply_z=True),
    dict(type="Copy", keys_dict=origin),
    voxels,
    dict(type="CenterShift", apply_z=False),
    dict(type="MSMNormalizeColor"),
    instances,
    dict(type="ToTensor"),
    dict(
        collect,
        keys=(*collect["keys"], *origin.values(), "name"),
        offset_keys_dict=dict(offset="coord", origin_offset="origin_coord"),
    ),
]
data = dict(
    train=dict(
        transform=[
            dict(type="CenterShift", apply_z=True),
            dict(type="RandomRotate", angle=[-1, 1], axis="z", center=[0, 0, 0], p=0.5),
            dict(type="RandomScale", scale=[0.9, 1.1]),
            dict(type="RandomFlip", p=0.5),
            dict(type="ChromaticTranslation", p=0.95, ratio=0.1),
            dict(type="ChromaticJitter", p=0.95, std=0.05),
            voxels,
            crop,
            dict(type="MSMNormalizeColor"),
            instances,
            dict(type="ToTensor"),
            collect,
        ]
    ),
    val=dict(transform=view),
    test=dict(transform=view),
)
hooks = [
    dict(type="CheckpointLoader", keywords="module.student.backbone", replacement="module.backbone"),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="InformationWriter"),
    dict(type="InsSegEvaluator", segment_ignore_index=(-1, 0, 1), instance_ignore_index=-1),
    dict(type="CheckpointSaver", save_freq=None),
    dict(type="PreciseEvaluator", test_last=False),
]

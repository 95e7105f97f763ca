"""Fine-tuning on ScanNet with the pre-trained network as backbone of Pointcept's own DefaultSegmentorV2.

Command:  sh scripts/train.sh -d msm -c pointcept/semseg-scannet -n semseg -w exp/msm/scannet/model/model_last.pth -g 8
Needs:    a run of pretrain-scannet.py; data/scannet in Pointcept's format.
Hardware: meant for 8 GPUs at 6 crops of 120,000 voxels each; not run on a GPU by us yet.
Expected: near finetune-scannet.py, which differs by a norm before the linear layer; ours is not known yet.
"""

_base_ = ["../_base_/segmentation.py", "../_base_/data_scannet.py"]

epoch = 200
eval_epoch = 100
batch_size = 48
num_worker = 48
enable_amp = True

model = dict(
    type="DefaultSegmentorV2",
    num_classes=20,
    backbone_out_channels=64 + 96 + 128 + 256 + 384,
    backbone=dict(type="MSM-HUNet-v1m1", in_channels=6, output="hierarchical"),  # its defaults are the 2 cm network
    criteria=[
        dict(type="CrossEntropyLoss", loss_weight=1.0, ignore_index=-1),
        dict(type="LovaszLoss", mode="multiclass", loss_weight=1.0, ignore_index=-1),
    ],
)
hooks = [
    dict(type="CheckpointLoader", keywords="module.student.backbone", replacement="module.backbone"),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="InformationWriter"),
    dict(type="SemSegEvaluator"),
    dict(type="MSMMetricsWriter"),
    dict(type="MSMCheckpointer"),
    dict(type="PreciseEvaluator", test_last=False),
]
test = dict(_delete_=True, type="MSMSemSegTester", verbose=True)
data = dict(
    test=dict(
        type="ScanNetDataset",
        split="val",
        data_root="data/scannet",
        transform=[dict(type="CenterShift", apply_z=True), dict(type="MSMNormalizeColor")],
        test_mode=True,
        test_cfg=dict(
            voxelize=dict(type="GridSample", grid_size=0.02, hash_type="fnv", mode="test", return_grid_coord=True),
            crop=None,
            post_transform=[
                dict(type="CenterShift", apply_z=False),
                dict(type="ToTensor"),
                dict(type="Collect", keys=("coord", "grid_coord", "index"), feat_keys=("color", "normal")),
            ],
            aug_transform=[
                [
                    dict(type="RandomRotateTargetAngle", angle=[turn], axis="z", center=[0, 0, 0], p=1),
                    dict(type="RandomScale", scale=[scale, scale]),
                ]
                for scale in (1.0, 0.95, 1.05)
                for turn in (0, 0.5, 1, 1.5)
            ]
            + [[dict(type="RandomFlip", p=1)]],
        ),
    ),
)

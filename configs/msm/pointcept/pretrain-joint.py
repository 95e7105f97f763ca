"""Joint pre-training at 2 cm on the six indoor data sets of Pointcept's Sonata recipe, through its ConcatDataset.

Command:  sh scripts/train.sh -d msm -c pointcept/pretrain-joint -n joint -g 4
Data:     data/{scannet,scannetpp,s3dis,arkitscenes,hm3d,structured3d} as Pointcept preprocesses them, all with normals;
          remove a data set from the list to do without it. Labels are not read.
Hardware: meant for 4 GPUs at 3 scenes each (Pointcept wants a number that divides 12).
Measured: nothing; it is built in tests. The paper trains on ScanNet alone.
"""

_base_ = ["../_base_/runtime.py", "../_base_/pretrain.py", "../_base_/augment.py", "../_base_/hunet_2cm.py"]

epoch = 200
eval_epoch = 100
batch_size = 12
num_worker = 24
enable_amp = True

model = dict(
    type="MSM-v1m1",
    backbone={{_base_.backbone}},
    mask_ratio=0.4,
    mask_patch=0.32,
    loss=dict(type="MSMLoss", kind="info_nce"),
)
transform = [
    dict(
        type="MSMViews",
        grid_size=0.02,
        max_voxels=240000,
        student_crop=(0.4, 0.8),
        feat_keys=("color", "normal"),
        augment={{_base_.augment}},
        color_augment={{_base_.color_augment}},
    )
]
chunks = "grid1mm_chunk6x6_stride3x3"  # Pointcept's sampling_chunking_data.py: scenes cut into 6 x 6 m
data = dict(
    train=dict(
        type="ConcatDataset",
        datasets=[
            dict(type="ScanNetDataset", split=["train", "val", "test"], data_root="data/scannet", transform=transform),
            dict(
                type="ScanNetPPDataset",
                split=[f"train_{chunks}", f"val_{chunks}", f"test_{chunks}"],
                data_root="data/scannetpp",
                transform=transform,
            ),
            dict(
                type="S3DISDataset",
                split=["Area_1", "Area_2", "Area_3", "Area_4", "Area_6"],  # Area 5 is what we test on
                data_root="data/s3dis",
                transform=transform,
            ),
            dict(
                type="DefaultDataset",
                split=["Training", "Validation"],
                data_root="data/arkitscenes",
                transform=transform,
            ),
            dict(
                type="HM3DDataset",
                split=["train", "val"],
                data_root="data/hm3d",
                transform=transform,
                force_label=False,
            ),
            dict(
                type="Structured3DDataset",
                split=["train", "val", "test"],
                data_root="data/structured3d",
                transform=transform,
            ),
        ],
    ),
)

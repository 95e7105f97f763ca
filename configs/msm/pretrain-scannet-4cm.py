"""Pre-training on ScanNet at 4 cm: the ablation model of the paper (Tables 13 and 14), about a quarter of the voxels.

Command:  sh tools/train.sh -c configs/msm/pretrain-scannet-4cm.py -g 4
Data:     data/scannet in Pointcept's format (train/<scene>/{coord,color,normal,segment20,segment200,instance}.npy).
Hardware: meant for 4 GPUs at 3 scenes each.
Measured: nothing; it is built in tests.
Expected: linear probe 66.8 mIoU on ScanNet val (Table 10), the paper's number.
"""

_base_ = ["_base_/runtime.py", "_base_/pretrain.py", "_base_/augment.py", "_base_/hunet_4cm.py"]

data_root = "data/scannet"
epoch = 1800
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
data = dict(
    train=dict(
        type="ScanNetDataset",
        split="train",
        data_root="data/scannet",
        transform=[
            dict(
                type="MSMViews",
                grid_size=0.04,
                max_voxels=240000,
                student_crop=(0.4, 0.8),
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
        test_mode=False,
    ),
)

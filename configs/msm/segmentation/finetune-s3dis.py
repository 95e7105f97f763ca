"""Fine-tuning of the pre-trained main network on S3DIS, Area 5 held out (Tables 7 and 19).

Command:  sh tools/train.sh -c configs/msm/segmentation/finetune-s3dis.py -g 8 -- model.weight=FILE
          (from scratch: -- model.weight=none)
Needs:    the run of pretrain-scannet.py, or another exported network of its size as FILE; data/s3dis with normals.
Hardware: meant for 8 GPUs at 4 crops of 100,000 voxels each; not run on a GPU by us yet.
Expected: 73.2 mIoU on Area 5, 71.3 from scratch, the paper's numbers; ours are not known yet.
"""

_base_ = ["../_base_/segmentation.py", "../_base_/hunet_2cm.py", "../_base_/data_s3dis.py"]

epoch = 500
eval_epoch = 100
batch_size = 32
num_worker = 32
enable_amp = True

scheduler = dict(pct_start=20 / 500)
model = dict(
    type="MSM-Segmentor-v1m1",
    num_classes=13,
    backbone={{_base_.backbone}},
    weight="exp/msm/pretrain-scannet/student.safetensors",
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
)
data = dict(
    train=dict(
        transform=[
            dict(
                type="MSMInput",
                grid_size=0.02,
                max_voxels=100000,
                feat_keys=("color", "normal"),
                augment={{_base_.augment}},
                color_augment={{_base_.color_augment}},
            )
        ],
    ),
)

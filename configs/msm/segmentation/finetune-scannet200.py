"""Fine-tuning of the pre-trained main network on ScanNet200 (Tables 7 and 19).

Command:  sh tools/train.sh -c configs/msm/segmentation/finetune-scannet200.py -g 8 -- model.weight=FILE
          (from scratch: -- model.weight=none)
Needs:    the run of pretrain-scannet.py, or another exported network of its size as FILE; data/scannet.
Hardware: meant for 8 GPUs at 6 crops of 120,000 voxels each; not run on a GPU by us yet.
Expected: 35.7 mIoU on val, 35.4 from scratch, the paper's numbers; ours are not known yet.
"""

_base_ = ["../_base_/segmentation.py", "../_base_/hunet_2cm.py", "../_base_/data_scannet200.py"]

epoch = 200
eval_epoch = 100
batch_size = 48
num_worker = 48
enable_amp = True

model = dict(
    type="MSM-Segmentor-v1m1",
    num_classes=200,
    backbone={{_base_.backbone}},
    weight="exp/msm/pretrain-scannet/student.safetensors",
    criteria=dict(type="MSMSegmentationLoss", ce=1.0, lovasz=1.0, ignore_index=-1),
)

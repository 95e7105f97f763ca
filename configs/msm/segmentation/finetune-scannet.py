"""Fine-tuning of the pre-trained main network on ScanNet (Tables 7 and 19).

Command:  sh tools/train.sh -c configs/msm/segmentation/finetune-scannet.py -g 8 -- model.weight=FILE
Needs:    the run of pretrain-scannet.py, or another exported network of its size as FILE; data/scannet.
Hardware: meant for 8 GPUs at 6 crops of 120,000 voxels each; not run on a GPU by us yet.
Expected: 78.5 mIoU on val, the paper's number; ours is not known yet.
"""

_base_ = ["supervised-scannet.py"]

model = dict(weight="exp/msm/pretrain-scannet/student.safetensors")

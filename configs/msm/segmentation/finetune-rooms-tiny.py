"""Fine-tuning of the pre-trained small network on 16 labelled procedural rooms, by the recipe of supervised-rooms-tiny.

Command:  sh tools/train.sh -c configs/msm/segmentation/finetune-rooms-tiny.py -- model.weight=FILE
Needs:    the run of pretrain-rooms-tiny.py, or another student.safetensors or teacher.safetensors as FILE.
Hardware: as supervised-rooms-tiny.py.
Expected: not known yet; from scratch 65.0.
"""

_base_ = ["supervised-rooms-tiny.py"]

model = dict(weight="exp/msm/pretrain-rooms-tiny/student.safetensors")

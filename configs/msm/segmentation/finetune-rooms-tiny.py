"""Fine-tuning of the pre-trained small network on 16 labelled procedural rooms, by the recipe of supervised-rooms-tiny.

Command:  sh tools/train.sh -c configs/msm/segmentation/finetune-rooms-tiny.py -- model.weight=FILE
Needs:    the run of pretrain-rooms-tiny.py, or another student.safetensors or teacher.safetensors as FILE.
Hardware: as supervised-rooms-tiny.py.
Expected: 67.8 mIoU from msm-tiny-rooms, 65.0 from scratch (one seed); with fewer rooms: docs/results/probes.md.
"""

_base_ = ["supervised-rooms-tiny.py"]

model = dict(weight="exp/msm/pretrain-rooms-tiny/student.safetensors")

"""Fine-tuning of pre-trained weights on your own labelled scenes: the shipped ones, or those of a run of yours.

Command:  sh tools/train.sh -c configs/msm/finetune-scenes.py -- data_root=my_scenes num_classes=5 \\
              data.names=[floor,wall,chair,table,other] ignore_label=255
          weights of your own, at their voxel size: -- model.weight=exp/msm/mine grid_size=0.04
          one linear layer on frozen features:      -- model.type=MSM-Probe-v1m1 optimizer.lr=0.01 scheduler.max_lr=0.01
Data:     as for supervised-scenes.py.
Hardware: as supervised-scenes.py.
Expected: depends on your scenes; compare with supervised-scenes.py on the same ones.
"""

_base_ = ["supervised-scenes.py"]

optimizer = dict(lr=0.001)
scheduler = dict(max_lr=0.001)
model = dict(
    backbone=None,  # that of the weights
    weight="msm-tiny-rooms",
)

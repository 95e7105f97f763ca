"""Pre-training of Pointcept's SpUNet on ScanNet at 2 cm, with the recipe of pretrain-scannet.py.

Command:  sh scripts/train.sh -d msm -c pointcept/pretrain-scannet-spunet -n scannet-spunet -g 4
Data:     data/scannet in Pointcept's format.
Hardware: meant for 4 GPUs at 3 scenes each.
Measured: nothing; it is built in tests. The paper did not train this network.
Then:     its configs/scannet/semseg-spunet-v1m1-4-ft.py loads exp/msm/scannet-spunet/model/model_last.pth through
          CheckpointLoader(keywords="module.student.backbone", replacement="module.backbone").
"""

_base_ = ["../pretrain-scannet.py"]

sync_bn = True  # the teacher copies running statistics: they must be those of all processes
backbone = dict(_delete_=True, type="MSM-SpUNet-v1m1", in_channels=6)
model = dict(backbone=dict(_delete_=True, type="MSM-SpUNet-v1m1", in_channels=6))
param_dicts = [
    dict(keyword="bias", weight_decay=0.0),
    dict(keyword="token", weight_decay=0.0),
    dict(keyword="bn", weight_decay=0.0),
    dict(keyword=".1.weight", weight_decay=0.0),  # the norms that SpUNet keeps in sequences
]

"""Tiny twin of semseg-scannet.py: two epochs of Pointcept's DefaultSegmentorV2 on eight rooms, then its precise test.

Command:  sh scripts/train.sh -d msm -c pointcept/semseg-rooms-tiny -n semseg -w exp/msm/RUN/model/model_last.pth -g 1
Needs:    a run of pretrain-rooms-tiny.py or pretrain-rooms-mini.py.
Hardware: any GPU, or a CPU; minutes.
Expected: no result at this length.
"""

_base_ = ["semseg-scannet.py"]

epoch = 2
eval_epoch = 2
batch_size = 2
num_worker = 1
enable_amp = False
model = dict(
    num_classes=22,
    backbone_out_channels=32 + 48 + 64 + 96,
    backbone=dict(
        enc_channels=(32, 48, 64, 96),
        enc_conv_depths=(1, 1, 1, 1),
        enc_attn_depths=(0, 0, 0, 1),
        enc_num_heads=(4, 6, 8, 12),
        dec_channels=(32, 48, 64, 96),
        dec_conv_depths=(1, 1, 1, 1),
        dec_attn_depths=(0, 0, 0, 1),
        dec_num_heads=(4, 6, 8, 12),
        window_size=256,
        attn_drop=0.0,
        drop_path=0.0,
    ),
)
rooms = dict(type="MSMRoomsDataset", data_root="data/rooms")
view = dict(type="MSMInput", grid_size=0.08, feat_keys=("color", "normal"))
shift = [dict(type="CenterShift", apply_z=True)]
data = dict(
    num_classes=22,
    names=[f"class {i}" for i in range(22)],
    train=dict(_delete_=True, **rooms, split="train", rooms=8, transform=[dict(view, max_voxels=14000, augment=shift)]),
    val=dict(
        _delete_=True,
        **rooms,
        split="val",
        rooms=2,
        transform=[dict(view, augment=shift, random=False, keep_inverse=True)],
    ),
    test=dict(
        **rooms,
        split="val",
        rooms=1,
        test_cfg=dict(
            voxelize=dict(type="GridSample", grid_size=0.08, hash_type="fnv", mode="test", return_grid_coord=True),
            aug_transform=[[dict(type="RandomFlip", p=1)]],
        ),
    ),
)

"""Object detection on frozen features (Tables 8 and 18), on procedural rooms: 3DETR's decoder, small.

Command:  sh tools/test.sh -c configs/msm/probes/detect-rooms-tiny.py -w msm-tiny-rooms
          The network trained too: -- test.frozen=False test.baselines=[]
Hardware: two CPU cores.
Expected: docs/results/tasks.md.
"""

_base_ = ["../probe-rooms-tiny.py"]

test = dict(
    type="MSMTaskTester",
    task="detection",
    networks=("student",),
    align=True,  # boxes lie along the walls, as ScanNet's
    box_points=300,  # of a room's 120,000: what is hardly seen is no object
    voxels=0.08,
    points=512,
    head=dict(queries=256, layers=2, width=64, hidden=64, dropout=0.0, head_dropout=0.0, reach=2.0, see_own_point=True),
    training=dict(epochs=40, batch_size=4, lr=2e-3, warmup=1, weight_decay=0.1, clip=1.0),
)
data = dict(train=dict(rooms=64), test=dict(rooms=16))

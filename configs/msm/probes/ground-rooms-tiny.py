"""Visual grounding on frozen features (Tables 3, 6 and 17), on procedural rooms: which object does a sentence mean.

Command:  sh tools/test.sh -c configs/msm/probes/ground-rooms-tiny.py -w msm-tiny-rooms
Hardware: two CPU cores.
Expected: docs/results/tasks.md.
"""

_base_ = ["../probe-rooms-tiny.py"]

test = dict(
    type="MSMTaskTester",
    task="grounding",
    networks=("student",),
    align=True,
    box_points=300,  # of a room's 120,000
    points_per_scene=4000,
    head=dict(width=64, dropout=0.0),
    training=dict(epochs=15, batch_size=16, lr=1e-3, warmup=1, weight_decay=1e-5, clip=1.0),
)
data = dict(
    train=dict(rooms=64),
    test=dict(rooms=16),
    names=[
        "floor", "wall", "ceiling", "door", "window", "chair", "table", "desk", "counter", "sofa", "armchair", "bed",
        "cabinet", "bookshelf", "lamp", "sink", "toilet", "monitor", "curtain", "plant", "picture", "clutter",
    ],
)  # fmt: skip

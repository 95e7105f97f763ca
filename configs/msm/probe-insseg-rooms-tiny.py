"""Instance segmentation on frozen features (Table 16): procedural rooms. Linear class and offset heads, clusters, AP.

Command:  sh tools/test.sh -c configs/msm/probe-insseg-rooms-tiny.py -w exp/msm/pretrain-rooms-tiny
Hardware: two CPU cores, two minutes a row.
Expected: docs/results/probes.md.
"""

_base_ = ["probe-rooms-tiny.py"]

test = dict(
    probes=("instance",),
    points_per_scene=4000,  # test rooms are thinned to the same density
    test_points=4000,
    things=tuple(range(3, 22)),  # all but floor, wall and ceiling
    min_points=10,  # 300 of a room's 120,000 points
)

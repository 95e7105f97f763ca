"""Instance segmentation on frozen features (Table 16): ScanNet200. Linear class and offset heads, clusters, AP.

Command:  sh tools/test.sh -c configs/msm/probe-insseg-scannet200.py -w exp/msm/pretrain-scannet
Hardware: meant for one GPU and 32 GB of memory; not run on a GPU by us yet.
Expected: 8.8 AP50, the paper's number with a head trained by SGD; ours is not known yet.
"""

_base_ = ["probe-scannet200.py"]

test = dict(
    probes=("instance",),
    scenes=200,  # to fit on: two million points
    points_per_scene=10000,  # test scenes are thinned to the same density
    test_points=10000,
    things=(1, *range(3, 200)),  # all but wall and floor
    min_points=7,  # the benchmark's 100 points of a typical 150,000
)

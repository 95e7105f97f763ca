"""Instance segmentation on frozen features (Table 16): S3DIS, Area 5 held out. Linear class and offset heads,
clusters, AP.

Command:  sh tools/test.sh -c configs/msm/probe-insseg-s3dis.py -w exp/msm/pretrain-scannet
Hardware: meant for one GPU and 32 GB of memory; not run on a GPU by us yet.
Expected: 23.2 AP50, the paper's number with a head trained by SGD; ours is not known yet.
"""

_base_ = ["probe-s3dis.py"]

test = dict(
    probes=("instance",),
    points_per_scene=10000,  # test rooms are thinned to the same density
    test_points=10000,
    things=tuple(range(13)),
    min_points=2,  # the benchmark's 100 points of a typical 1,000,000 leave 1; a pair is the least that is a cluster
)

"""Visual grounding on frozen features (Tables 3, 6 and 17): ScanRefer. Which proposal does a sentence mean.

Command:  sh tools/test.sh -c configs/msm/probes/ground-scannet.py -w exp/msm/pretrain-scannet
Data:     data/scannet_votenet as for detect-scannet.py; data/scanrefer/ScanRefer_filtered_train.json and _val.json.
Hardware: meant for one GPU and 32 GB of memory; not run on ScanNet by us yet.
Expected: the paper's numbers: unique 87.1, multiple 44.3, overall 52.7; it says neither which proposals nor which IoU.
          Ours are not known yet.
"""

_base_ = ["detect-scannet.py"]

test = dict(
    task="grounding",
    sentences="data/scanrefer/ScanRefer_filtered_{split}.json",
    points_per_scene=4000,
    min_points=3,  # the benchmark's 100 of a typical 150,000
    head=dict(_delete_=True, layers=2, width=128),
    training=dict(
        _delete_=True, epochs=10, batch_size=12, lr=5e-4, final_lr=0.0, warmup=1, weight_decay=1e-5, clip=1.0
    ),
)

"""The ablations of pre-training: what each changes, as options for any base, and the paper's figure where it has one.

Command:  python tools/ablations.py --base configs/msm/pretrain-rooms-tiny.py no-mask last-level --seeds 0 1 2
          one of them alone: sh tools/train.sh -c configs/msm/pretrain-scannet-4cm.py -n no-mask -g 4 \\
              -- model.mask_strategy=unmasked
Paper:    linear probe on ScanNet val (Table 10), model of pretrain-scannet-4cm.py, 66.8 mIoU without a change.
Ours:     docs/results/ablations.md, on rooms; on ScanNet not known yet.
"""

# name; options; paper: (table, mIoU), None where the paper has no such row; bases: the configs it is written for (their
# network's depths are in it), absent where any will do.
ablations = [
    dict(name="no-mask", options=["model.mask_strategy=unmasked"], paper=("10a", 50.7)),  # the same voxels supervised
    dict(name="last-level", options=["model.loss_levels=(0,)"], paper=("10b", 60.5)),  # the finest alone
    dict(name="top-down", options=["model.mask_strategy=top_down"], paper=("10c", 62.4)),  # tokens enter the encoder
    dict(
        name="conv-only",  # 2.4 M values, as many as the hybrid's 2.4 M
        bases=["pretrain-rooms-tiny", "pretrain-rooms-small"],
        options=[
            "model.backbone.enc_conv_depths=(1,1,2,1)", "model.backbone.enc_attn_depths=(0,0,0,0)",
            "model.backbone.dec_conv_depths=(1,1,2,1)", "model.backbone.dec_attn_depths=(0,0,0,0)",
        ],
        paper=("10d", 61.8),
    ),
    dict(
        name="conv-only",  # 69.3 M values, the hybrid has 67.0 M
        bases=["pretrain-scannet-4cm"],
        options=[
            "model.backbone.enc_conv_depths=(2,2,2,3)", "model.backbone.enc_attn_depths=(0,0,0,0)",
            "model.backbone.dec_conv_depths=(2,2,2,3)", "model.backbone.dec_attn_depths=(0,0,0,0)",
        ],
        paper=("10d", 61.8),
    ),
    dict(
        name="attention-only",  # 2.3 M values
        bases=["pretrain-rooms-tiny", "pretrain-rooms-small"],
        options=[
            "model.backbone.enc_conv_depths=(0,0,0,0)", "model.backbone.enc_attn_depths=(2,2,3,5)",
            "model.backbone.dec_conv_depths=(0,0,0,0)", "model.backbone.dec_attn_depths=(2,2,3,5)",
        ],
        paper=("10d", 52.3),
    ),
    dict(
        name="attention-only",  # 67.8 M values
        bases=["pretrain-scannet-4cm"],
        options=[
            "model.backbone.enc_conv_depths=(0,0,0,0)", "model.backbone.enc_attn_depths=(2,2,8,10)",
            "model.backbone.dec_conv_depths=(0,0,0,0)", "model.backbone.dec_attn_depths=(2,2,8,10)",
        ],
        paper=("10d", 52.3),
    ),
    dict(name="mask-ratio-0.1", options=["model.mask_ratio=0.1"], paper=None),  # Fig. 8: best near 0.4
    dict(name="mask-ratio-0.2", options=["model.mask_ratio=0.2"], paper=None),
    dict(name="mask-ratio-0.6", options=["model.mask_ratio=0.6"], paper=None),
    dict(name="mask-ratio-0.8", options=["model.mask_ratio=0.8"], paper=None),
    dict(name="patch-16cm", options=["model.mask_patch=0.16"], paper=None),
    dict(name="patch-64cm", options=["model.mask_patch=0.64"], paper=None),
    dict(name="same-view", options=["model.target_view=same"], paper=None),
    dict(name="supervise-all", options=["model.supervise=all"], paper=None),  # masked and visible voxels
    dict(name="visible", options=["model.supervise=visible"], paper=None),  # visible voxels alone, no tokens
    dict(name="cosine", options=["model.loss.kind=cosine"], paper=None),
    dict(name="smooth-l1", options=["model.loss.kind=smooth_l1"], paper=None),
    dict(name="predictor-linear", options=["model.predictor=linear"], paper=None),
    dict(name="predictor-none", options=["model.predictor=none"], paper=None),
    dict(name="full-view", options=["data.train.transform.0.student_crop=(1.0,1.0)"], paper=None),
]  # fmt: skip

"""The ablation network, 4 cm voxels, coarsest level 32 cm, 67.0 M values (Table 13)."""

grid_size = 0.04
feat_keys = ("color", "normal")
backbone = dict(
    type="MSM-HUNet-v1m1",
    in_channels=6,
    enc_channels=(64, 128, 256, 384),
    enc_conv_depths=(2, 2, 2, 2),
    enc_attn_depths=(0, 0, 2, 2),
    enc_num_heads=(8, 16, 32, 48),
    dec_channels=(96, 128, 256, 384),
    dec_conv_depths=(2, 2, 2, 2),
    dec_attn_depths=(0, 0, 2, 2),
    dec_num_heads=(8, 16, 32, 48),
    window_size=1024,
    attn_drop=0.1,
    drop_path=0.4,
)

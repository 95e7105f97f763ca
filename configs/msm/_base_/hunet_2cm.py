"""The main network, 2 cm voxels, coarsest 32 cm, 67.6 M values (Table 12; drop path as shipped with the weights)."""

grid_size = 0.02
feat_keys = ("color", "normal")
backbone = dict(
    type="MSM-HUNet-v1m1",
    in_channels=6,
    enc_channels=(32, 64, 128, 256, 384),
    enc_conv_depths=(2, 2, 2, 2, 2),
    enc_attn_depths=(0, 0, 0, 2, 2),
    enc_num_heads=(4, 8, 16, 32, 48),
    dec_channels=(64, 96, 128, 256, 384),
    dec_conv_depths=(2, 2, 2, 2, 2),
    dec_attn_depths=(0, 0, 0, 2, 2),
    dec_num_heads=(4, 8, 16, 32, 48),
    window_size=1024,
    attn_drop=0.1,
    drop_path=0.2,
)

"""A middle-sized hybrid U-Net of four levels, 16 M values: for one GPU."""

feat_keys = ("color", "normal")
backbone = dict(
    type="MSM-HUNet-v1m1",
    in_channels=6,
    enc_channels=(32, 64, 128, 192),
    enc_conv_depths=(2, 2, 2, 2),
    enc_attn_depths=(0, 0, 0, 2),
    enc_num_heads=(4, 8, 16, 24),
    dec_channels=(64, 96, 128, 192),
    dec_conv_depths=(2, 2, 2, 2),
    dec_attn_depths=(0, 0, 0, 2),
    dec_num_heads=(8, 12, 16, 24),
    window_size=512,
    attn_drop=0.1,
    drop_path=0.1,
    residual_gamma=1.0,  # as in hunet_small
)

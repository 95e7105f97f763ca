"""A small hybrid U-Net of four levels, 2.4 M values: one that two CPU cores can train."""

feat_keys = ("color", "normal")
backbone = dict(
    type="MSM-HUNet-v1m1",
    in_channels=6,
    enc_channels=(32, 48, 64, 96),
    enc_conv_depths=(1, 1, 1, 1),
    enc_attn_depths=(0, 0, 0, 1),
    enc_num_heads=(4, 6, 8, 12),
    dec_channels=(32, 48, 64, 96),
    dec_conv_depths=(1, 1, 1, 1),
    dec_attn_depths=(0, 0, 0, 1),
    dec_num_heads=(4, 6, 8, 12),
    window_size=256,
    attn_drop=0.0,
    drop_path=0.0,
    residual_gamma=1.0,  # short runs cannot grow it from the release's 0.1 (docs/results/pretraining.md)
)

"""Optimiser, schedule and hooks of pre-training (paper, Table 14; open points: docs/results.md)."""

optimizer = dict(type="AdamW", lr=0.0015, betas=(0.9, 0.95), weight_decay=0.05)
# Norm scales, residual gammas, biases and mask tokens are not decayed: first keyword found in a parameter's name wins.
param_dicts = [
    dict(keyword="scale", weight_decay=0.0),
    dict(keyword="gamma", weight_decay=0.0),
    dict(keyword="bias", weight_decay=0.0),
    dict(keyword="token", weight_decay=0.0),
]
scheduler = dict(
    type="OneCycleLR",  # cosine up over pct_start of the run, cosine down to lr / (div * final_div)
    max_lr=0.0015,
    pct_start=60 / 1800,
    anneal_strategy="cos",
    cycle_momentum=False,  # betas stay as set
    div_factor=10.0,
    final_div_factor=150.0,
)
hooks = [
    dict(type="CheckpointLoader"),
    dict(type="MSMMaskingHook"),
    dict(type="MSMTeacherHook", momentum=0.996, final=1.0),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="MSMCollapseMonitor", interval=50),
    dict(type="InformationWriter"),
    dict(type="MSMMetricsWriter"),
    dict(type="MSMCheckpointer"),
]

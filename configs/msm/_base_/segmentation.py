"""Optimiser, schedule and hooks of supervised training, fine-tuning (Table 19) and probing in the host (Table 15)."""

_base_ = ["runtime.py"]

evaluate = True
optimizer = dict(type="AdamW", lr=0.001, betas=(0.9, 0.95), weight_decay=0.05)
# Norm scales, residual gammas and biases are not decayed.
param_dicts = [
    dict(keyword="scale", weight_decay=0.0),
    dict(keyword="gamma", weight_decay=0.0),
    dict(keyword="bias", weight_decay=0.0),
]
scheduler = dict(
    type="OneCycleLR",  # cosine up over pct_start of the run, cosine down to lr / (div * final_div)
    max_lr=0.001,
    pct_start=2 / 200,
    anneal_strategy="cos",
    cycle_momentum=False,
    div_factor=10.0,
    final_div_factor=100.0,
)
hooks = [
    dict(type="CheckpointLoader"),
    dict(type="IterationTimer", warmup_iter=2),
    dict(type="InformationWriter"),
    dict(type="MSMSemSegEvaluator"),
    dict(type="MSMMetricsWriter"),
    dict(type="MSMCheckpointer"),
]

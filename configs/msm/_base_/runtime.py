"""What every run needs, in either host. Self-contained: Pointcept's own runtime base is not referred to."""

custom_imports = dict(imports=["pointcept_msm"], allow_failed_imports=False)

weight = None  # checkpoint to start from
resume = False
evaluate = False
test_only = False
seed = 0
licence = None  # of the exported weights; None: that of the run's author and data
save_path = "exp/msm/default"
num_worker = 16  # of all GPUs together
batch_size = 12  # scenes of all GPUs together
batch_size_val = None
batch_size_test = None
gradient_accumulation_steps = 1
epoch = 100  # passes over the data
eval_epoch = 100  # trainer epochs; a checkpoint after each
max_steps = None  # end after this many optimiser steps (embedded host)
log_every = 20
clip_grad = 3.0
sync_bn = False
enable_amp = False
amp_dtype = "bfloat16"
empty_cache = False
empty_cache_per_epoch = False
find_unused_parameters = False
mix_prob = 0  # view batches cannot be mixed
enable_wandb = False
wandb_project = "pointcept_msm"
wandb_key = None
train = dict(type="MSMTrainer")
test = dict(type="MSMProbeTester")

#!/bin/sh
# Train a config; results go to exp/msm/<name>.
#
#   sh tools/train.sh -c configs/msm/pretrain-scannet.py [-n name] [-g gpus] [-m machines] [-w weight] [-r true]
#                     [-p python] [-- key=value ...]
#
#   -c  config file, or its name (pretrain-scannet)     -w  weights to start from
#   -n  name of the run (the config's)                  -r  true: go on with the run of that name
#   -g  GPUs, or CPU processes, a machine (all GPUs)    -p  Python to use (.venv's, if there is one)
#       of them the most that share batch_size evenly
#   -m  machines (1); address from Slurm, or from MASTER_ADDR, MASTER_PORT and MACHINE_RANK
exec sh "$(dirname "$0")/run.sh" train "$@"

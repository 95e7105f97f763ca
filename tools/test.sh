#!/bin/sh
# Test a config; results go to exp/msm/<name>.
#
#   sh tools/test.sh -c configs/msm/probe-scannet.py -w FILE [-n name] [-g gpus] [-m machines] [-p python]
#                    [-- key=value ...]
#
# The flags are those of train.sh.
exec sh "$(dirname "$0")/run.sh" test "$@"

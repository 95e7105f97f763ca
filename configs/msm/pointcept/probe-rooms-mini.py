"""The protocol of probe-rooms-tiny on six rooms: a trial of the tester in Pointcept.

Command:  sh scripts/test.sh -d msm -c pointcept/probe-rooms-mini -n mini -w model_last -g 1
          or python tools/test.py --config-file configs/msm/pointcept/probe-rooms-mini.py
             --options weight=exp/msm/mini save_path=exp/msm/mini-probe
Needs:    the run of pretrain-rooms-mini.py.
Hardware: as there; a minute.
Expected: a table; its figures mean nothing at this length.
"""

_base_ = ["../probe-rooms-tiny.py"]

test = dict(points_per_scene=500, test_points=1000)
data = dict(train=dict(rooms=4), test=dict(rooms=2))

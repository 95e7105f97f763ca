#!/bin/sh
# The whole path on a fresh machine, without a data set or a GPU: sh tools/demo.sh [run name]
# Makes the environment, procedural rooms, a tiny pre-training run, its probe, and a picture of its features.
cd "$(dirname "$0")/.." || exit 1

case ${1:-} in
    -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' tools/demo.sh; exit 0 ;;
    -* | */*) printf "demo.sh: '%s' is no name for a run; call it as: sh tools/demo.sh [run name]\n" "$1" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "demo.sh: $# arguments, it takes one: sh tools/demo.sh [run name]" >&2; exit 2; }

begin() { step=$1 started=$(date +%s); printf '\n== %s\n' "$step"; }
end() { printf '== %s: %s s%s\n' "$step" "$(($(date +%s) - started))" "${1:+, $1}"; }
stop() { printf 'demo.sh: stopped at "%s": %s\n' "$step" "$*" >&2; exit 1; }
count_scenes() { find "$1" -mindepth 2 -maxdepth 2 -name coord.npy 2>/dev/null | wc -l; }

first=$(date +%s)
begin "environment"
. tools/env.sh || stop "the environment could not be made, the reason stands above."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
end "$VIRTUAL_ENV"

begin "rooms"
if [ "$(count_scenes data/rooms/train)" -ge 64 ] && [ "$(count_scenes data/rooms/val)" -ge 16 ]; then
    echo "data/rooms is there and is used again."
else
    python tools/make_rooms.py --out data/rooms --train 64 --val 16 || stop "make_rooms.py failed, its message stands above."
fi
end "data/rooms"

name=${1:-demo}
if [ -e "exp/msm/$name" ]; then # never overwrite or resume somebody's run
    echo "exp/msm/$name holds a run already; it stays as it is."
    name=$name-$(date +%Y%m%d-%H%M%S)
fi
run=exp/msm/$name

begin "pre-training"
sh tools/train.sh -c configs/msm/pretrain-rooms-tiny.py -n "$name" || stop "training failed, see $run/train.log."
end "$run"

begin "probe"
python tools/test.py --config-file configs/msm/probe-rooms-tiny.py --options "weight=$run" "save_path=$run/probe" ||
    stop "the probe failed, its message stands above."
end "$run/probe/results.json"

if [ -f tools/visualize_pca.py ]; then
    begin "picture"
    scene=$(find data/rooms/val -mindepth 1 -maxdepth 1 -type d | sort | head -n 1)
    python tools/visualize_pca.py "$scene" --weights "$run/student.safetensors" --out "$run/pictures" ||
        stop "visualize_pca.py failed, its message stands above."
    end "$run/pictures"
fi
printf '\ndemo.sh: done in %s s; everything is in %s\n' "$(($(date +%s) - first))" "$run"

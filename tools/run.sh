#!/bin/sh
# What train.sh and test.sh share: turns their flags into the arguments of train.py and test.py.
# Works from any folder; results go to exp/msm/<name> in the repository. See train.sh for the flags.

task=$1
shift
caller=$(pwd)
cd "$(dirname "$0")/.." || exit 1

stop() {
    printf '%s.sh: %s\n' "$task" "$*" >&2
    exit 2
}

# A path that exists where the caller stands is meant from there, any other from the repository.
locate() {
    case $1 in
        /*) printf '%s' "$1" ;;
        *) if [ -e "$caller/$1" ]; then printf '%s/%s' "$caller" "$1"; else printf '%s' "$1"; fi ;;
    esac
}

flags="-c config, -n name, -g gpus, -m machines, -w weight, -p python"
[ "$task" = train ] && flags="$flags, -r true|false"

refuse() {
    case $1 in
        *=*) stop "'$1' stands before the --; write options last, after a bare --: -- $1" ;;
        *) stop "unknown flag '$1'; there are: $flags, and -- key=value ..." ;;
    esac
}

config='' name='' gpus='' machines=1 weight='' resume=false python=''
while [ $# -gt 0 ]; do
    flag=$1
    case $flag in
        -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "tools/$task.sh"; exit 0 ;;
        --) shift; break ;;
        -r) [ "$task" = train ] || refuse "$flag" ;;
        -c | -n | -g | -m | -w | -p) ;;
        *) refuse "$flag" ;;
    esac
    [ $# -gt 1 ] && [ "$2" != -- ] || stop "flag $flag needs a value"
    case $flag in
        -c) config=$2 ;;
        -n) name=$2 ;;
        -g) gpus=$2 ;;
        -m) machines=$2 ;;
        -w) weight=$(locate "$2") ;;
        -r) resume=$2 ;;
        -p) python=$2 ;;
    esac
    shift 2
done

case $resume in true | false) ;; *) stop "-r is '$resume'; write -r true or -r false" ;; esac
for number in "${gpus:-1}" "$machines"; do
    case $number in '' | *[!0-9]* | 0) stop "'$number' is not a number of GPUs or machines; give 1 or more" ;; esac
done
[ -n "$config" ] || { [ "$resume" = true ] && [ -f "exp/msm/$name/config.py" ] && config=exp/msm/$name/config.py; } ||
    stop "no config; give one with -c, such as -c configs/msm/pretrain-rooms-tiny.py"
config=$(locate "$config")
[ -n "$name" ] || name=$(basename "$config" .py)

if [ -z "$python" ]; then
    python=${MSM_VENV:-.venv}/bin/python
    [ -x "$python" ] || python=python
fi
command -v "$python" >/dev/null 2>&1 || stop "no Python at '$python'; name one with -p, or make one with sh tools/env.sh"
[ -n "$gpus" ] || gpus=$("$python" -c 'import torch; print(max(torch.cuda.device_count(), 1))') ||
    stop "'$python' cannot import torch; name another with -p, or make one with sh tools/env.sh"

# Several machines: Slurm says where the first one is; elsewhere set MASTER_ADDR, MASTER_PORT and MACHINE_RANK.
address=${MASTER_ADDR:-}
[ -n "$address" ] || [ -z "${SLURM_NODELIST:-}" ] || address=$(scontrol show hostname "$SLURM_NODELIST" | head -n 1)
url=auto
[ "$machines" -eq 1 ] || [ -z "$address" ] || {
    port=$((10000 + $(printf '%s' "$name" | cksum | cut -d' ' -f1) % 20000))
    url=tcp://$address:${MASTER_PORT:-$port}
}

left=$#
while [ "$left" -gt 0 ]; do # each option once round, folders and files of data as seen from where the caller stands
    case $1 in
        data_root=* | *.data_root=* | scene=* | *.scene=*) set -- "$@" "${1%%=*}=$(locate "${1#*=}")" ;;
        *) set -- "$@" "$1" ;;
    esac
    shift
    left=$((left - 1))
done
set -- "save_path=exp/msm/$name" "$@"
[ "$resume" = false ] || set -- "$@" resume=true
[ -z "$weight" ] || set -- "$@" "weight=$weight"
exec "$python" "tools/$task.py" --config-file "$config" --num-gpus "$gpus" --num-machines "$machines" \
    --machine-rank "${MACHINE_RANK:-${SLURM_NODEID:-0}}" --dist-url "$url" --options "$@"

# The project's own Python environment, made on the first call and reused afterwards.
#
#   sh tools/env.sh        makes it           . tools/env.sh        makes it and puts it first on PATH
#
# Both from the repository's root. Needs Python >= 3.10 with its venv module (or virtualenv), nothing else.
#   MSM_VENV           folder of the environment                         (.venv)
#   MSM_PYTHON         Python that makes it                              (python3)
#   MSM_TORCH_VERSION  torch release; a torch that is there is kept      (2.13.0)
#   MSM_TORCH_INDEX    package index to take torch from, for example one with CPU or other CUDA builds  (pip's own)
#
# The file .msm-env inside the environment holds what it was made from. "building" there means that a call was cut
# short: such an environment is made anew. A changed setup.py or pin is installed over what is there. An environment
# without that file is yours: it is installed into, never deleted.

msm_say() { printf 'env.sh: %s\n' "$*" >&2; }

msm_check_python() {
    command -v "$msm_base" >/dev/null 2>&1 ||
        { msm_say "no '$msm_base' found; install Python >= 3.10 or name one with MSM_PYTHON."; return 1; }
    "$msm_base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        { msm_say "'$msm_base' is $("$msm_base" -V 2>&1); Python >= 3.10 is needed, name one with MSM_PYTHON."; return 1; }
}

msm_make() {
    msm_check_python || return 1
    msm_say "making $msm_venv with $("$msm_base" -V 2>&1)"
    "$msm_base" -m venv "$msm_venv" >/dev/null 2>&1 || {
        rm -rf "$msm_venv"
        "$msm_base" -m virtualenv -q "$msm_venv" >/dev/null 2>&1 ||
            virtualenv -q -p "$msm_base" "$msm_venv" >/dev/null 2>&1
    } || {
        rm -rf "$msm_venv"
        msm_say "'$msm_base' cannot make $msm_venv: its venv module is incomplete; install python3-venv or virtualenv."
        return 1
    }
    echo building >"$msm_stamp"
}

# Torch comes first and pinned: the package asks for "torch", and pip would answer with the newest one.
msm_install_torch() {
    msm_old=$("$msm_venv/bin/python" -c 'import torch; print(torch.__version__.split("+")[0])' 2>/dev/null) || msm_old=
    if [ -n "$msm_old" ] && [ "${MSM_TORCH_VERSION:-$msm_old}" = "$msm_old" ]; then return 0; fi
    if [ -z "${MSM_TORCH_INDEX:-}" ] && [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1; then
        msm_say "no NVIDIA driver seen; if torch comes as a large CUDA build, stop and set MSM_TORCH_INDEX to CPU builds."
    fi
    msm_say "installing torch $msm_torch"
    "$msm_venv/bin/python" -m pip install -q ${MSM_TORCH_INDEX:+--index-url "$MSM_TORCH_INDEX"} "torch==$msm_torch" ||
        { msm_say "torch $msm_torch could not be installed; set MSM_TORCH_VERSION or MSM_TORCH_INDEX."; return 1; }
}

msm_install() {
    msm_install_torch || return 1
    msm_say "installing the package and its development tools"
    "$msm_venv/bin/python" -m pip install -q -e "${msm_root}[dev]" ||
        { msm_say "the package could not be installed; pip's message stands above."; return 1; }
    printf '%s %s\n' "$msm_owner" "$msm_want" >"$msm_stamp"
}

# Deletes an environment of ours that was cut short, was copied or moved here, or has lost its Python.
msm_drop_broken() {
    case $msm_have in
        made*" at $msm_root in $msm_venv") "$msm_venv/bin/python" -c '' 2>/dev/null && return 0 ;;
        made* | building*) ;;
        *) return 0 ;;
    esac
    msm_say "$msm_venv is half-made or from another place; making it anew"
    rm -rf "$msm_venv"
}

msm_env() {
    case $0 in */env.sh) cd "$(dirname "$0")/.." || return 1 ;; esac
    [ -f setup.py ] && [ -d pointcept_msm ] ||
        { msm_say "call it from the repository's root; '$PWD' has no setup.py and pointcept_msm/."; return 1; }
    msm_root=$(pwd -P) msm_base=${MSM_PYTHON:-python3} msm_torch=${MSM_TORCH_VERSION:-2.13.0} msm_venv=${MSM_VENV:-.venv}
    case $msm_venv in /*) ;; *) msm_venv=$msm_root/$msm_venv ;; esac
    msm_stamp=$msm_venv/.msm-env
    msm_want="$(cat setup.py tools/env.sh | cksum) torch $msm_torch at $msm_root in $msm_venv"
    msm_have=$(cat "$msm_stamp" 2>/dev/null) || msm_have=
    msm_drop_broken || return 1
    if [ ! -x "$msm_venv/bin/python" ]; then
        [ -z "$(ls -A "$msm_venv" 2>/dev/null)" ] ||
            { msm_say "$msm_venv is there but is no Python environment; remove it or set MSM_VENV."; return 1; }
        msm_make || return 1
        msm_owner=made
    else
        case $msm_have in made*) msm_owner=made ;; *) msm_owner=yours ;; esac
    fi
    [ "$msm_have" = "$msm_owner $msm_want" ] || msm_install || return 1
    VIRTUAL_ENV=$msm_venv PATH=$msm_venv/bin:$PATH
    export VIRTUAL_ENV PATH
    unset PYTHONHOME
}

case $0 in
    */env.sh) case ${1:-} in
        -h | --help) sed -n '1,/^[^#]*$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        ?*) msm_say "takes no arguments, got '$1'; its settings are environment variables, see --help."; exit 2 ;;
    esac ;;
esac
# `return` works where the file was sourced, `exit` where it was called.
msm_env || { return 1 2>/dev/null || exit 1; }

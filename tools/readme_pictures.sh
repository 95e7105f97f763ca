#!/bin/sh
# The README's pictures of features, again: sh tools/readme_pictures.sh
# Of one procedural room, with the shipped weights, into docs/images. The page is photographed where there is a Chromium;
# POINT=12345 chooses the point whose similarity it shows.
cd "$(dirname "$0")/.." || exit 1
[ $# -eq 0 ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' tools/readme_pictures.sh >&2; exit 2; } # it takes no arguments
. tools/env.sh || exit 1
set -e
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python tools/make_rooms.py --out "$work/rooms" --train 0 --val 1
room=$work/rooms/val/room_0000
python - "$room" "$work/bare.ply" <<'END'
import sys
from pointcept_msm.files.scene_io import load_scene, save_scene
save_scene(sys.argv[2], {"coord": load_scene(sys.argv[1])["coord"]})
END

draw() { # scene, picture's name, further arguments
    scene=$1 name=$2
    shift 2
    python tools/visualize_pca.py "$scene" --out "$work/$name" --size 900 600 --fill-color 127.5 "$@"
    mv "$work/$name/$(basename "$scene" .ply).png" "$work/$name.png"
}
draw "$room" room_features
draw "$room" room_fine --basis "$work/room_features/basis.npz" --level 0
draw "$room" room_coarse --basis "$work/room_features/basis.npz" --level 3
draw "$work/bare.ply" room_bare # a basis of its own, as for anyone who has that one file

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -n "$browser" ]; then
    "$browser" --headless=new --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --hide-scrollbars \
        --window-size=1200,800 --virtual-time-budget=30000 --user-data-dir="$work/profile" \
        --screenshot="$work/viewer.png" "file://$work/room_features/room_0000.html#point=${POINT:-1583}" 2>/dev/null
else
    echo "readme_pictures.sh: no Chromium here, docs/images/viewer.png stays as it is"
fi
for name in room_features room_fine room_coarse room_bare viewer; do # 256 colours: a third of the size
    [ ! -f "$work/$name.png" ] || python -c "
import sys
from PIL import Image
Image.open(sys.argv[1]).convert('RGB').quantize(256).save(sys.argv[2], optimize=True)" "$work/$name.png" "docs/images/$name.png"
done
ls -l docs/images

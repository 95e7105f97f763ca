#!/bin/sh
# The README's pictures, again: sh tools/readme_pictures.sh
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

size="--size 900 600" view="--view $work/view.json"
python tools/render_scene.py "$room" --out "$work/room.png" $size --save-view "$work/view.json"
python tools/render_scene.py "$room" --out "$work/room_labels.png" --show segment $size $view
python tools/visualize_pca.py "$room" --out "$work/pca" $size $view
python tools/visualize_pca.py "$work/bare.ply" --out "$work/pca" $size $view --fill-color 127.5 # a basis of its own
mv "$work/pca/room_0000.png" "$work/room_features.png"
mv "$work/pca/bare.png" "$work/room_bare.png"

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -n "$browser" ]; then
    "$browser" --headless=new --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --hide-scrollbars \
        --window-size=1100,620 --virtual-time-budget=30000 --user-data-dir="$work/profile" \
        --screenshot="$work/viewer.png" "file://$work/pca/room_0000.html#point=${POINT:-55865}" 2>/dev/null
else
    echo "readme_pictures.sh: no Chromium here, docs/images/viewer.png stays as it is"
fi
for name in room room_labels room_features room_bare viewer; do # as small as they are without losing a colour
    [ ! -f "$work/$name.png" ] || python -c "
import sys
from PIL import Image
picture = Image.open(sys.argv[1]).convert('RGB')
(picture.quantize(256) if 'room.png' in sys.argv[1] else picture).save(sys.argv[2], optimize=True)" "$work/$name.png" "docs/images/$name.png"
done
ls -l docs/images

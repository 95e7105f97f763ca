"""Draw a scene without a display: python tools/render_scene.py data/rooms/val/room_0000 --out room.png

From outside, surfaces that face away are left out, so that one looks into the room through its walls and ceiling.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from pointcept_msm.pictures.render import POINT_RADIUS, color_labels, save_picture
from pointcept_msm.runtime.command_line import OneSentenceParser, run_command


def main(argv):
    args = build_parser().parse_args(argv)
    from pointcept_msm.files.scene_io import load_scene

    scene = load_scene(args.scene, require=("coord", "normal", args.show))
    colors = color_points(scene, args.show)
    angles = (args.azimuth, args.elevation)
    save_picture(args.out, scene["coord"], scene["normal"], colors, args.view, *angles, args.size, args.radius)
    print(args.out)


def build_parser():
    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", help="folder or file of the scene")
    parser.add_argument("--out", default="scene.png", metavar="FILE")
    parser.add_argument("--show", choices=("color", "normal", "segment", "instance"), default="color")
    parser.add_argument("--view", choices=("outside", "inside"), default="outside")
    parser.add_argument("--azimuth", type=float, default=35.0, metavar="DEGREES", help="direction the camera stands in")
    parser.add_argument("--elevation", type=float, default=45.0, metavar="DEGREES", help="of the camera, seen outside")
    parser.add_argument("--radius", type=float, default=POINT_RADIUS, metavar="METRES", help="of a point")
    parser.add_argument("--size", type=int, nargs=2, default=(1200, 800), metavar=("WIDTH", "HEIGHT"))
    return parser


def color_points(scene: dict, show: str) -> np.ndarray:
    """Colours (N, 3) uint8 of one field."""
    if show == "color":
        return scene["color"].astype(np.uint8)
    if show == "normal":
        return np.clip(127.5 * (scene["normal"] + 1), 0, 255).astype(np.uint8)
    return color_labels(scene[show], scene["normal"])


if __name__ == "__main__":
    sys.exit(run_command(main))

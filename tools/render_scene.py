"""Draw scenes without a display: python tools/render_scene.py data/rooms/val/room_0000 --out room.png

Several scenes, or several fields (--show color segment), make one sheet: a row for each scene. Of a room one sees the
inside, through its walls and ceiling.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command

FIELDS = ("color", "normal", "segment", "instance")


def main(argv):
    args = build_parser().parse_args(argv)
    from pointcept_msm.pictures.labels import add_legend
    from pointcept_msm.pictures.render import make_sheet, read_view, save_view
    from pointcept_msm.runtime.errors import UserError

    view, rows, names, taken = read_view(args), [], [], None
    if args.save_view and len(args.scenes) > 1:
        raise UserError("--save-view with several scenes: each is seen from elsewhere; draw one of them")
    for path in args.scenes:
        name, drawn, taken = draw_fields(path, args.show, view)
        names.append(name)
        rows.append([picture for picture, _ in drawn])
    if len(args.scenes) == len(args.show) == 1:
        picture, legend = drawn[0]
        picture = add_legend(picture, legend, args.background) if legend and args.show != ["instance"] else picture
    else:
        picture = make_sheet(rows, args.show, names, args.background)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    picture.save(args.out)
    if args.save_view:
        save_view(args.save_view, taken)
    print(args.out)


def draw_fields(path, fields, view):
    """(the scene's name, (picture, legend) of each field, the camera)."""
    import numpy as np

    from pointcept_msm.datasets.normals import estimate_normals
    from pointcept_msm.files.scene_io import load_scene
    from pointcept_msm.pictures.labels import find_names
    from pointcept_msm.pictures.page import Layer
    from pointcept_msm.pictures.show import draw_layer, label_layers

    scene = load_scene(path, require=("coord", *(field for field in fields if field != "normal")))
    normal = scene["normal"] if "normal" in scene else estimate_normals(scene["coord"])
    layers = label_layers(scene, find_names(path))
    layers |= {"normal": Layer("normal", np.clip(127.5 * (normal + 1), 0, 255).astype(np.uint8))}
    layers |= {"RGB": Layer("color", scene["color"].astype(np.uint8))} if "color" in scene else {}
    keys = ["RGB" if field == "color" else field for field in fields]
    made = [draw_layer(scene["coord"], normal, layers, key, **view) for key in keys]
    return scene["name"], [(picture, layers[key].legend) for (picture, _), key in zip(made, keys)], made[0][1]


def build_parser():
    from pointcept_msm.pictures.render import add_view_arguments

    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", metavar="SCENE", help="folder or file of a scene")
    parser.add_argument("--out", default="scene.png", metavar="FILE")
    parser.add_argument("--show", nargs="+", choices=FIELDS, default=["color"], help="what to colour the points by")
    add_view_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))

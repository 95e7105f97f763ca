"""What the tests of tools that read scenes share: scenes on disk, weights, and a call of a tool in this process."""

import runpy
from pathlib import Path

import numpy as np

from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.runtime.command_line import run_command
from tests.probe_toy import make_weights

ROOT = Path(__file__).resolve().parents[2]


def make_scene(seed=0, points=1500):
    rng = np.random.default_rng(seed)
    coord = rng.uniform(0, (3, 2, 1), (points, 3)).astype(np.float32)
    color = rng.integers(0, 255, (points, 3)).astype(np.float32)
    normal = np.tile(np.float32([0, 0, 1]), (points, 1))
    return dict(coord=coord, color=color, normal=normal, segment=rng.integers(-1, 3, points))


def write_scenes(folder):
    """Two good scenes, one without colour and normals, one that cannot be read: their paths."""
    paths = [folder / "room_a", folder / "room_b.npz", folder / "bare.ply", folder / "broken.npz"]
    save_scene(paths[0], make_scene(0))
    save_scene(paths[1], make_scene(1))
    save_scene(paths[2], dict(coord=make_scene(2)["coord"]))
    paths[3].write_bytes(b"not a scene")
    return paths


def write_weights(folder):
    make_weights(folder, ("teacher",))
    return folder / "teacher.safetensors"


def call(capsys, tool, *arguments):
    """(exit code, standard output, lines of standard error) of tools/<tool>.py."""
    main = runpy.run_path(str(ROOT / f"tools/{tool}.py"))["main"]
    try:
        code = run_command(main, [str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    return code, said.out, [line for line in said.err.splitlines() if line.strip() and "scene/s" not in line]

"""What stands in which kind of room: living room, bedroom, office, kitchen, bathroom."""

import numpy as np

from pointcept_msm.rooms.decor import (
    build_clutter,
    build_curtain,
    build_lamp,
    build_monitor,
    build_picture,
    build_plant,
)
from pointcept_msm.rooms.fixtures import build_sink, build_toilet
from pointcept_msm.rooms.furniture import pick
from pointcept_msm.rooms.layout import Placed, Room
from pointcept_msm.rooms.palette import sample_material
from pointcept_msm.rooms.primitives import PartList
from pointcept_msm.rooms.seating import build_armchair, build_bed, build_chair, build_sofa
from pointcept_msm.rooms.storage import build_bookshelf, build_cabinet
from pointcept_msm.rooms.tables import build_counter, build_desk, build_table

# kind -> smallest and largest width and depth in metres
ROOM_KINDS = {
    "living": ((4.3, 3.9), (6.2, 5.2)),
    "bedroom": ((3.5, 3.3), (5.0, 4.4)),
    "office": ((4.2, 3.8), (6.2, 5.2)),
    "kitchen": ((3.6, 3.4), (5.4, 4.6)),
    "bathroom": ((2.3, 2.1), (3.4, 2.8)),
}


def furnish_room(room: Room, kind: str) -> None:
    """Fill an empty room of one of `ROOM_KINDS`."""
    _hang_curtains(room)
    FURNISHERS[kind](room)
    if kind != "bathroom":
        _add_strays(room)
    _decorate(room, kind)


def _add_strays(room: Room) -> None:
    """Pieces that fit any room, so that no object settles the kind of room by itself."""
    builders = (
        build_chair,
        build_cabinet,
        build_bookshelf,
        build_armchair,
        build_cabinet,
        build_desk,
        build_sofa,
        build_table,
    )
    for _ in range(int(room.rng.integers(4, 9))):
        piece = pick(room.rng, builders)(room.rng)
        if not room.place_by_wall(piece) and piece.name in ("chair", "armchair", "sofa", "table"):
            room.place_free(piece, square=True)


def _furnish_living(room: Room) -> None:
    rng = room.rng
    sofa = room.place_by_wall(build_sofa(rng))
    if sofa:
        _arrange_around_sofa(room, sofa)
    for _ in range(int(rng.integers(1, 4))):
        room.place_by_wall(build_armchair(rng))
    if rng.random() < 0.4:
        room.place_by_wall(build_sofa(rng))
    if rng.random() < 0.75:
        _place_dining(room)
    for _ in range(int(rng.integers(1, 3))):
        room.place_by_wall(build_bookshelf(rng))
    room.place_by_wall(build_cabinet(rng))
    room.place_by_wall(build_lamp(rng, "floor"))


def _arrange_around_sofa(room: Room, sofa: Placed) -> None:
    """A low table before the sofa, a screen on a sideboard opposite, an armchair facing the table."""
    rng, front = room.rng, -sofa.furniture.size[1] / 2
    table = build_table(rng, low=True)
    placed = room.place_near(
        table, sofa, rng.normal(0, 0.1), front - table.size[1] / 2 - rng.uniform(0.25, 0.5), rng.normal(0, 0.05)
    )
    _clutter_top(room, placed, 3)
    stand = room.place_by_wall(build_cabinet(rng, "sideboard"), room.walls_facing(sofa))
    screen = build_monitor(rng, "television")
    if stand and not room.place_on(screen, stand, turn=0.0):
        room.place_on_wall(build_monitor(rng, "wall"), 0.9, 1.3)
    if placed and rng.random() < 0.6:
        side, chair = pick(rng, (-1, 1)), build_armchair(rng)
        x = side * (table.size[0] / 2 + chair.size[1] / 2 + rng.uniform(0.2, 0.5))
        room.place_near(chair, placed, x, 0.0, -side * (np.pi / 2 + rng.normal(0, 0.2)))


def _furnish_bedroom(room: Room) -> None:
    rng = room.rng
    bed = room.place_by_wall(build_bed(rng), tries=60) or room.place_by_wall(build_bed(rng), tries=60)
    if bed:
        for side in (-1, 1):
            stand = build_cabinet(rng, "bedside")
            x = side * (bed.furniture.size[0] / 2 + stand.size[0] / 2 + rng.uniform(0.03, 0.1))
            placed = room.place_near(stand, bed, x, (bed.furniture.size[1] - stand.size[1]) / 2)
            if placed and rng.random() < 0.8:
                room.place_on(build_lamp(rng, "desk"), placed)
            _clutter_top(room, placed, 1)
        _clutter_top(room, bed, int(rng.integers(0, 3)))
    room.place_by_wall(build_cabinet(rng, "wardrobe"), tries=40)
    if rng.random() < 0.35:
        room.place_by_wall(build_bed(rng), tries=40)
    if rng.random() < 0.8:
        _place_desk(room)
    if rng.random() < 0.6:
        room.place_by_wall(build_armchair(rng))
    if rng.random() < 0.5:
        room.place_by_wall(build_bookshelf(rng))
    room.place_by_wall(build_cabinet(rng, "sideboard"))


def _furnish_office(room: Room) -> None:
    rng = room.rng
    for _ in range(int(rng.integers(3, 6))):
        _place_desk(room)
    for _ in range(int(rng.integers(1, 3))):
        room.place_by_wall(build_bookshelf(rng))
    room.place_by_wall(build_cabinet(rng, pick(rng, ("locker", "wardrobe", "sideboard"))))
    if rng.random() < 0.6:
        _place_dining(room)
    if rng.random() < 0.3:
        room.place_by_wall(build_sofa(rng))
    if rng.random() < 0.4:
        room.place_on_wall(build_monitor(rng, "wall"), 0.9, 1.3)


def _furnish_kitchen(room: Room) -> None:
    rng = room.rng
    wall = max(room.shell.walls, key=lambda w: w.length + rng.uniform(0, 1.5))
    for width in (rng.uniform(0.6, 0.8) * wall.length, 2.0, 1.5):
        width = float(np.clip(width, 1.3, 3.0))
        basin = rng.uniform(-1, 1) * (width / 2 - 0.35)
        counter = room.place_by_wall(build_counter(rng, width, basin), tries=30)
        if counter:
            _fit_counter(room, counter, width)
            break
    counter = room.place_by_wall(build_counter(rng))
    _clutter_top(room, counter, 3)
    room.place_by_wall(build_cabinet(rng, pick(rng, ("wardrobe", "locker"))))
    _place_dining(room)
    if rng.random() < 0.4:
        room.place_by_wall(build_cabinet(rng, "sideboard"))


def _fit_counter(room: Room, counter: Placed, width: float) -> None:
    """The sink in the counter's hole, things beside it, cupboards hung above."""
    rng = room.rng
    room.place_on(build_sink(rng, inset=True), counter, support=0, turn=0.0, tries=30)
    _clutter_top(room, counter, 5, support=1)
    hanging = build_cabinet(rng, "hanging")
    if rng.random() < 0.8:
        back = (counter.furniture.size[1] - hanging.size[1]) / 2
        x = rng.uniform(-1, 1) * max(width - hanging.size[0], 0) / 2
        room.place_near(hanging, counter, x, back, z=rng.uniform(1.36, 1.5))


def _furnish_bathroom(room: Room) -> None:
    rng = room.rng
    room.place_by_wall(build_toilet(rng), tries=50)
    sink = room.place_by_wall(build_sink(rng), tries=50)
    if sink and rng.random() < 0.6:
        mirror = build_picture(rng)
        back = (sink.furniture.size[1] - mirror.size[1]) / 2
        room.place_near(mirror, sink, 0.0, back, z=rng.uniform(1.15, 1.3))
    if rng.random() < 0.5:
        width = rng.uniform(1.15, 1.5)
        counter = room.place_by_wall(build_counter(rng, width, rng.uniform(-0.1, 0.1)))
        if counter:
            _fit_counter(room, counter, width)
    for _ in range(int(rng.integers(1, 3))):
        room.place_by_wall(build_cabinet(rng, pick(rng, ("locker", "bedside"))))
    if rng.random() < 0.3:
        room.place_by_wall(build_chair(rng))
    for _ in range(int(rng.integers(0, 2))):
        room.place_by_wall(build_toilet(rng))
    if rng.random() < 0.5:
        room.place_on_wall(build_cabinet(rng, "hanging"), 1.2, 1.5)


def _place_desk(room: Room) -> None:
    """A desk by a wall with its chair, a screen or laptop, maybe a lamp, and clutter."""
    rng = room.rng
    desk = room.place_by_wall(build_desk(rng))
    if not desk:
        return
    for _ in range(pick(rng, (1, 1, 1, 2))):
        room.place_on(build_monitor(rng), desk, turn=0.0, back=True)
    if rng.random() < 0.5:
        room.place_on(build_lamp(rng, "desk"), desk, back=True)
    _clutter_top(room, desk, int(rng.integers(1, 4)))
    chair = build_chair(rng)
    y = -(desk.furniture.size[1] / 2 + chair.size[1] / 2 + rng.uniform(0.03, 0.4))
    room.place_near(chair, desk, rng.uniform(-0.25, 0.25), y, np.pi + rng.normal(0, 0.3))


def _place_dining(room: Room) -> None:
    """A table with chairs along its sides."""
    rng = room.rng
    table = room.place_free(build_table(rng, low=False), square=True)
    if not table:
        return
    width, depth = table.furniture.size[:2]
    style = pick(rng, ("legs", "slats", "swivel", "legs"))
    sides = [(x, -1) for x in _slots(width)] + [(x, 1) for x in _slots(width)] + [(None, -1), (None, 1)]
    for x, side in sides:
        if rng.random() < 0.2:
            continue
        chair, gap = build_chair(rng, style), rng.uniform(0.03, 0.18)
        if x is None:
            out = side * (width / 2 + chair.size[1] / 2 + gap)
            room.place_near(chair, table, out, rng.normal(0, 0.03), -side * np.pi / 2 + rng.normal(0, 0.15))
        else:
            out = side * (depth / 2 + chair.size[1] / 2 + gap)
            room.place_near(chair, table, x, out, (0.0 if side > 0 else np.pi) + rng.normal(0, 0.15))
    _clutter_top(room, table, int(rng.integers(1, 5)))


def _slots(width: float) -> tuple[float, ...]:
    return (-width / 4, width / 4) if width > 1.3 else (0.0,)


def _clutter_top(room: Room, anchor: Placed | None, count: int, support: int = 0) -> None:
    for _ in range(count if anchor else 0):
        if room.rng.random() < 0.12:
            room.place_on(build_plant(room.rng, room.rng.uniform(0.25, 0.45)), anchor, support)
        else:
            room.place_on(build_clutter(room.rng), anchor, support)


def _hang_curtains(room: Room) -> None:
    """A curtain before most windows, over the sill or down to the floor."""
    rng = room.rng
    for opening in room.shell.openings:
        wall = room.shell.walls[opening.wall]
        if opening.name != "window" or rng.random() < 0.3:
            continue
        span = opening.s1 - opening.s0 + rng.uniform(0.2, 0.5)
        low = 0.05 if rng.random() < 0.5 else opening.z0 - 0.15
        curtain = build_curtain(rng, span, min(opening.z1 + 0.14, room.shell.size[2] - 0.05) - low)
        middle = (opening.s0 + opening.s1) / 2
        half = curtain.size[0] / 2 + 0.02
        x, y = wall.point(float(np.clip(middle, half, max(wall.length - half, half))), curtain.size[1] / 2 + 0.14)
        room.place_at(curtain, x, y, wall.yaw, low, clear=False)


def _decorate(room: Room, kind: str) -> None:
    """Pictures, hanging lamps, plants, rugs and things on the floor and on low cupboards."""
    rng, wet = room.rng, kind == "bathroom"
    width, depth, height = room.shell.size
    lamp = build_lamp(rng, "hanging")
    if rng.random() < 0.75:
        room.place_at(
            lamp, rng.uniform(-0.15, 0.15) * width, rng.uniform(-0.15, 0.15) * depth, 0.0, height - lamp.size[2] - 0.002
        )
    for _ in range(int(rng.integers(1, 3 if wet else 6))):
        room.place_on_wall(build_picture(rng), 1.0, 1.5)
    for placed in list(room.placed):
        if placed.furniture.name == "cabinet" and placed.furniture.supports:
            _clutter_top(room, placed, int(rng.integers(0, 3)))
            if rng.random() < 0.25:
                room.place_on(build_lamp(rng, "desk"), placed)
    for _ in range(int(rng.integers(0, 2 if wet else 3))):
        room.place_by_wall(build_plant(rng))
    for _ in range(int(rng.integers(1, 3 if wet else 5))):
        room.place_free(build_clutter(rng, small=False))
    if rng.random() < 0.4:
        room.place_free(build_chair(rng))
    if rng.random() < 0.5:
        _lay_rug(room)


def _lay_rug(room: Room) -> None:
    """A thin cloth under the furniture, labelled floor."""
    rng, parts = room.rng, PartList()
    width, depth, _ = room.shell.size
    limits = (0.5 * width, 0.5 * depth) if room.shell.notch else (0.75 * width, 0.75 * depth)
    size = (rng.uniform(0.3, 1.0) * limits[0], rng.uniform(0.3, 1.0) * limits[1], 0.012)
    shift = (
        (0.0, 0.0)
        if not room.shell.notch
        else (-0.15 * np.sign(room.shell.notch.x) * width, -0.15 * np.sign(room.shell.notch.y) * depth)
    )
    parts.box((shift[0], shift[1], 0.006), size, sample_material(rng, "soft"))
    room.shell.groups.append(("floor", list(parts)))


FURNISHERS = {
    "living": _furnish_living,
    "bedroom": _furnish_bedroom,
    "office": _furnish_office,
    "kitchen": _furnish_kitchen,
    "bathroom": _furnish_bathroom,
}

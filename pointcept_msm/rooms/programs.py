"""What stands in which kind of room: living room, bedroom, office, kitchen, bathroom."""

import numpy as np

from pointcept_msm.rooms import furniture
from pointcept_msm.rooms.layout import Placed, Room
from pointcept_msm.rooms.solids import PartList, pick, sample_material


def furnish_room(room: Room, kind: str) -> None:
    """Fill an empty room of one of `ROOM_KINDS`."""
    rng = room.rng
    # A curtain before most windows, over the sill or down to the floor.
    for opening in room.shell.openings:
        wall = room.shell.walls[opening.wall]
        if opening.name != "window" or rng.random() < 0.3:
            continue
        span = opening.s1 - opening.s0 + rng.uniform(0.2, 0.5)
        low = 0.05 if rng.random() < 0.5 else opening.z0 - 0.15
        curtain = furniture.build_curtain(rng, span, min(opening.z1 + 0.14, room.shell.size[2] - 0.05) - low)
        half = curtain.size[0] / 2 + 0.02
        s = float(np.clip((opening.s0 + opening.s1) / 2, half, max(wall.length - half, half)))
        room.place_at(curtain, *wall.point(s, curtain.size[1] / 2 + 0.14), wall.yaw, low, clear=False)
    ROOM_KINDS[kind][2](room, rng)
    # Pieces that fit any room, so that no object settles the kind of room by itself.
    strays = (furniture.build_chair, furniture.build_cabinet, furniture.build_bookshelf, furniture.build_armchair)
    strays += (furniture.build_cabinet, furniture.build_desk, furniture.build_sofa, furniture.build_table)
    for _ in range(int(rng.integers(4, 9)) if kind != "bathroom" else 0):
        piece = pick(rng, strays)(rng)
        if not room.place_by_wall(piece) and piece.name in ("chair", "armchair", "sofa", "table"):
            room.place_free(piece, square=True)
    _decorate(room, kind)


def _by_wall(room: Room, count: int, build, *style) -> None:
    """`count` new pieces along the walls; a truth value is 0 or 1."""
    for _ in range(int(count)):
        room.place_by_wall(build(room.rng, *style))


def _furnish_living(room: Room, rng: np.random.Generator) -> None:
    sofa = room.place_by_wall(furniture.build_sofa(rng))
    if sofa:
        # A low table before it, a screen on a sideboard opposite, an armchair facing the table.
        table = furniture.build_table(rng, low=True)
        x, y = rng.normal(0, 0.1), -sofa.furniture.size[1] / 2 - table.size[1] / 2 - rng.uniform(0.25, 0.5)
        placed = room.place_near(table, sofa, x, y, rng.normal(0, 0.05))
        _clutter_top(room, placed, 3)
        front = np.array([np.sin(sofa.volume.yaw), -np.cos(sofa.volume.yaw)])
        facing = [wall for wall in room.shell.walls if float(wall.inward @ front) < -0.9]
        stand = room.place_by_wall(furniture.build_cabinet(rng, "sideboard"), facing)
        screen = furniture.build_monitor(rng, "television")
        if stand and not room.place_on(screen, stand, turn=0.0):
            room.place_on_wall(furniture.build_monitor(rng, "wall"), 0.9, 1.3)
        if placed and rng.random() < 0.6:
            side, chair = pick(rng, (-1, 1)), furniture.build_armchair(rng)
            x = side * (table.size[0] / 2 + chair.size[1] / 2 + rng.uniform(0.2, 0.5))
            room.place_near(chair, placed, x, 0.0, -side * (np.pi / 2 + rng.normal(0, 0.2)))
    _by_wall(room, rng.integers(1, 4), furniture.build_armchair)
    _by_wall(room, rng.random() < 0.4, furniture.build_sofa)
    if rng.random() < 0.75:
        _place_dining(room, rng)
    _by_wall(room, rng.integers(1, 3), furniture.build_bookshelf)
    _by_wall(room, 1, furniture.build_cabinet)
    _by_wall(room, 1, furniture.build_lamp, "floor")


def _furnish_bedroom(room: Room, rng: np.random.Generator) -> None:
    bed = room.place_by_wall(furniture.build_bed(rng), tries=60)
    bed = bed or room.place_by_wall(furniture.build_bed(rng), tries=60)
    if bed:
        for side in (-1, 1):
            stand = furniture.build_cabinet(rng, "bedside")
            x = side * (bed.furniture.size[0] / 2 + stand.size[0] / 2 + rng.uniform(0.03, 0.1))
            placed = room.place_near(stand, bed, x, (bed.furniture.size[1] - stand.size[1]) / 2)
            if placed and rng.random() < 0.8:
                room.place_on(furniture.build_lamp(rng, "desk"), placed)
            _clutter_top(room, placed, 1)
        _clutter_top(room, bed, int(rng.integers(0, 3)))
    _by_wall(room, 1, furniture.build_cabinet, "wardrobe")
    _by_wall(room, rng.random() < 0.35, furniture.build_bed)
    if rng.random() < 0.8:
        _place_desk(room, rng)
    _by_wall(room, rng.random() < 0.6, furniture.build_armchair)
    _by_wall(room, rng.random() < 0.5, furniture.build_bookshelf)
    _by_wall(room, 1, furniture.build_cabinet, "sideboard")


def _furnish_office(room: Room, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(3, 6))):
        _place_desk(room, rng)
    _by_wall(room, rng.integers(1, 3), furniture.build_bookshelf)
    _by_wall(room, 1, furniture.build_cabinet, pick(rng, ("locker", "wardrobe", "sideboard")))
    if rng.random() < 0.6:
        _place_dining(room, rng)
    _by_wall(room, rng.random() < 0.3, furniture.build_sofa)
    if rng.random() < 0.4:
        room.place_on_wall(furniture.build_monitor(rng, "wall"), 0.9, 1.3)


def _furnish_kitchen(room: Room, rng: np.random.Generator) -> None:
    wall = max(room.shell.walls, key=lambda w: w.length + rng.uniform(0, 1.5))
    for width in (rng.uniform(0.6, 0.8) * wall.length, 2.0, 1.5):
        width = float(np.clip(width, 1.3, 3.0))
        if _place_counter(room, rng, width, rng.uniform(-1, 1) * (width / 2 - 0.35), tries=30):
            break
    _clutter_top(room, room.place_by_wall(furniture.build_counter(rng)), 3)
    _by_wall(room, 1, furniture.build_cabinet, pick(rng, ("wardrobe", "locker")))
    _place_dining(room, rng)
    _by_wall(room, rng.random() < 0.4, furniture.build_cabinet, "sideboard")


def _place_counter(room: Room, rng: np.random.Generator, width: float, basin: float, tries: int = 40) -> Placed | None:
    """A counter by a wall with the sink in its hole, things beside it, cupboards hung above."""
    counter = room.place_by_wall(furniture.build_counter(rng, width, basin), tries=tries)
    if counter:
        room.place_on(furniture.build_sink(rng, inset=True), counter, support=0, turn=0.0, tries=30)
        _clutter_top(room, counter, 5, support=1)
        hanging = furniture.build_cabinet(rng, "hanging")
        if rng.random() < 0.8:
            back = (counter.furniture.size[1] - hanging.size[1]) / 2
            x = rng.uniform(-1, 1) * max(width - hanging.size[0], 0) / 2
            room.place_near(hanging, counter, x, back, z=rng.uniform(1.36, 1.5))
    return counter


def _furnish_bathroom(room: Room, rng: np.random.Generator) -> None:
    room.place_by_wall(furniture.build_toilet(rng), tries=50)
    sink = room.place_by_wall(furniture.build_sink(rng), tries=50)
    if sink and rng.random() < 0.6:
        mirror = furniture.build_picture(rng)
        back = (sink.furniture.size[1] - mirror.size[1]) / 2
        room.place_near(mirror, sink, 0.0, back, z=rng.uniform(1.15, 1.3))
    if rng.random() < 0.5:
        _place_counter(room, rng, rng.uniform(1.15, 1.5), rng.uniform(-0.1, 0.1))
    for _ in range(int(rng.integers(1, 3))):
        room.place_by_wall(furniture.build_cabinet(rng, pick(rng, ("locker", "bedside"))))
    _by_wall(room, rng.random() < 0.3, furniture.build_chair)
    _by_wall(room, rng.integers(0, 2), furniture.build_toilet)
    if rng.random() < 0.5:
        room.place_on_wall(furniture.build_cabinet(rng, "hanging"), 1.2, 1.5)


def _place_desk(room: Room, rng: np.random.Generator) -> None:
    """A desk by a wall with its chair, a screen or laptop, maybe a lamp, and clutter."""
    desk = room.place_by_wall(furniture.build_desk(rng))
    if not desk:
        return
    for _ in range(pick(rng, (1, 1, 1, 2))):
        room.place_on(furniture.build_monitor(rng), desk, turn=0.0, back=True)
    if rng.random() < 0.5:
        room.place_on(furniture.build_lamp(rng, "desk"), desk, back=True)
    _clutter_top(room, desk, int(rng.integers(1, 4)))
    chair = furniture.build_chair(rng)
    y = -(desk.furniture.size[1] / 2 + chair.size[1] / 2 + rng.uniform(0.03, 0.4))
    room.place_near(chair, desk, rng.uniform(-0.25, 0.25), y, np.pi + rng.normal(0, 0.3))


def _place_dining(room: Room, rng: np.random.Generator) -> None:
    """A table with chairs along its sides."""
    table = room.place_free(furniture.build_table(rng, low=False), square=True)
    if not table:
        return
    width, depth = table.furniture.size[:2]
    style = pick(rng, ("legs", "slats", "swivel", "legs"))
    slots = (-width / 4, width / 4) if width > 1.3 else (0.0,)
    for x, side in [(x, side) for side in (-1, 1) for x in slots] + [(None, -1), (None, 1)]:
        if rng.random() < 0.2:
            continue
        chair, gap = furniture.build_chair(rng, style), rng.uniform(0.03, 0.18)
        out = side * ((width if x is None else depth) / 2 + chair.size[1] / 2 + gap)
        if x is None:
            room.place_near(chair, table, out, rng.normal(0, 0.03), -side * np.pi / 2 + rng.normal(0, 0.15))
        else:
            room.place_near(chair, table, x, out, (0.0 if side > 0 else np.pi) + rng.normal(0, 0.15))
    _clutter_top(room, table, int(rng.integers(1, 5)))


def _clutter_top(room: Room, anchor: Placed | None, count: int, support: int = 0) -> None:
    for _ in range(count if anchor else 0):
        if room.rng.random() < 0.12:
            piece = furniture.build_plant(room.rng, room.rng.uniform(0.25, 0.45))
        else:
            piece = furniture.build_clutter(room.rng)
        room.place_on(piece, anchor, support)


def _decorate(room: Room, kind: str) -> None:
    """Pictures, hanging lamps, plants, rugs and things on the floor and on low cupboards."""
    rng, wet = room.rng, kind == "bathroom"
    width, depth, height = room.shell.size
    lamp = furniture.build_lamp(rng, "hanging")
    if rng.random() < 0.75:
        x, y = rng.uniform(-0.15, 0.15) * width, rng.uniform(-0.15, 0.15) * depth
        room.place_at(lamp, x, y, 0.0, height - lamp.size[2] - 0.002)
    for _ in range(int(rng.integers(1, 3 if wet else 6))):
        room.place_on_wall(furniture.build_picture(rng), 1.0, 1.5)
    for placed in list(room.placed):
        if placed.furniture.name == "cabinet" and placed.furniture.supports:
            _clutter_top(room, placed, int(rng.integers(0, 3)))
            if rng.random() < 0.25:
                room.place_on(furniture.build_lamp(rng, "desk"), placed)
    _by_wall(room, rng.integers(0, 2 if wet else 3), furniture.build_plant)
    for _ in range(int(rng.integers(1, 3 if wet else 5))):
        room.place_free(furniture.build_clutter(rng, small=False))
    if rng.random() < 0.4:
        room.place_free(furniture.build_chair(rng))
    if rng.random() < 0.5:  # a rug, labelled floor, away from the notch
        notch, parts = room.shell.notch, PartList()
        share = 0.5 if notch else 0.75
        size = (rng.uniform(0.3, 1.0) * (share * width), rng.uniform(0.3, 1.0) * (share * depth), 0.012)
        x, y = (-0.15 * np.sign(notch.x) * width, -0.15 * np.sign(notch.y) * depth) if notch else (0.0, 0.0)
        parts.box((x, y, 0.006), size, sample_material(rng, "soft"))
        room.shell.groups.append(("floor", parts))


ROOM_KINDS = {  # smallest and largest width and depth in metres, what stands in them
    "living": ((4.3, 3.9), (6.2, 5.2), _furnish_living),
    "bedroom": ((3.5, 3.3), (5.0, 4.4), _furnish_bedroom),
    "office": ((4.2, 3.8), (6.2, 5.2), _furnish_office),
    "kitchen": ((3.6, 3.4), (5.4, 4.6), _furnish_kitchen),
    "bathroom": ((2.3, 2.1), (3.4, 2.8), _furnish_bathroom),
}

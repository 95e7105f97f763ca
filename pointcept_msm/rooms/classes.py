"""Class names of the procedural rooms; the position in the tuple is the value stored in `segment`."""

ROOM_CLASSES: tuple[str, ...] = (
    "floor",
    "wall",
    "ceiling",
    "door",
    "window",
    "chair",
    "table",
    "desk",
    "counter",
    "sofa",
    "armchair",
    "bed",
    "cabinet",
    "bookshelf",
    "lamp",
    "sink",
    "toilet",
    "monitor",
    "curtain",
    "plant",
    "picture",
    "clutter",
)

STRUCTURE: tuple[str, ...] = ("floor", "wall", "ceiling")  # surfaces without an instance (instance = -1)

# Raise this whenever a change alters what `generate_room` returns for the same arguments: folders made
# by another version are then refused instead of mixed.
GENERATOR_VERSION = 1

"""Which channels belong to which line of the layer table."""

from pointcept_msm.probing.layers import layer_columns


def test_columns():
    levels = [("level0", 0.02, slice(0, 2)), ("level1", 0.04, slice(2, 3)), ("level2", 0.08, slice(3, 6))]
    columns = {name: list(value) for name, value in layer_columns(levels).items()}
    assert columns == dict(
        level0_alone=[0, 1],
        level0_without=[2, 3, 4, 5],
        level1_alone=[2],
        level1_without=[0, 1, 3, 4, 5],
        level2_alone=[3, 4, 5],
        level2_without=[0, 1, 2],
    )
    assert layer_columns(levels[:1]) == {}

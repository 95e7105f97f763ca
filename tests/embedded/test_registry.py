"""The embedded registries' own manners (the shared ones: tests/host/test_host_contract.py)."""

import pytest

from pointcept_msm.embedded.registry import HostRegistry, nearest_name


def test_unknown_name_suggests_the_nearest():
    registry = HostRegistry("test_things")
    registry.register_module("MSM-HUNet-v1m1")(type("Net", (), {}))
    with pytest.raises(KeyError, match="did you mean 'MSM-HUNet-v1m1'"):
        registry.build(dict(type="MSM-HUNet"))


def test_nothing_near_suggests_nothing():
    assert nearest_name("zzz", ["abc"]) == ""
    assert nearest_name("abd", ["abc", "xyz"]) == "; did you mean 'abc'?"

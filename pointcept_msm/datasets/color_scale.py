"""MSMNormalizeColor: the input scaling of this package's networks for pipelines of Pointcept's own transforms."""

from pointcept_msm.host import TRANSFORMS, register

from .features import FEATURES


@register(TRANSFORMS, "MSMNormalizeColor")
class MSMNormalizeColor:
    """color from 0 ... 255 to -1 ... 1, in place of Pointcept's NormalizeColor (0 ... 1)."""

    def __call__(self, scene: dict) -> dict:
        """Scene with its color (N, 3) rescaled; without colour it is left as it is."""
        return dict(scene, color=FEATURES["color"][1](scene)) if "color" in scene else scene

"""A list of transform configs as one callable."""

from pointcept_msm.embedded.registry import TRANSFORMS


class Compose:
    """Build the transforms of a list of configs and apply them in order; None means no transform."""

    def __init__(self, cfg=None):
        self.cfg = [] if cfg is None else cfg
        self.transforms = [TRANSFORMS.build(transform) for transform in self.cfg]

    def __call__(self, data_dict):
        for transform in self.transforms:
            data_dict = transform(data_dict)
        return data_dict

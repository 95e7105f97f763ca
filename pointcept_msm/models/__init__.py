"""Models: importing this package registers MSM-v1m1, MSM-HUNet-v1m1 and MSMLoss."""

from .hunet_v1m1 import MSMHUNet as MSMHUNet
from .losses import MSMLoss as MSMLoss
from .msm_v1m1_base import MSM as MSM

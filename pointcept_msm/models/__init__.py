"""Models: importing this package registers the networks, what trains them, and their losses."""

from .contrastive_v1m1 import MSMContrastive as MSMContrastive
from .hunet_v1m1 import MSMHUNet as MSMHUNet
from .losses import MSMLoss as MSMLoss
from .msm_v1m1_base import MSM as MSM
from .segmentation_loss import MSMSegmentationLoss as MSMSegmentationLoss
from .segmentor_v1m1 import MSMProbe as MSMProbe
from .segmentor_v1m1 import MSMSegmentor as MSMSegmentor
from .spunet_v1m1 import MSMSpUNet as MSMSpUNet

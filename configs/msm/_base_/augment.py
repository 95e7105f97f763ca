"""Augmentation of each view, drawn independently (the list of Pointcept's MSC recipe; the paper's is not known)."""

# Shares of the views that lose all their colour, or all their normals: more than 0 makes one network serve scans
# without them. drop_color=0.2 on the command line reaches every transform that has 0 here.
drop_color = 0.0
drop_normal = 0.0

augment = [
    dict(type="CenterShift", apply_z=True),
    dict(type="RandomRotate", angle=[-1, 1], axis="z", center=[0, 0, 0], p=1.0),
    dict(type="RandomRotate", angle=[-1 / 64, 1 / 64], axis="x", center=[0, 0, 0], p=1.0),
    dict(type="RandomRotate", angle=[-1 / 64, 1 / 64], axis="y", center=[0, 0, 0], p=1.0),
    dict(type="RandomScale", scale=[0.9, 1.1]),
    dict(type="RandomFlip", p=0.5),
    dict(type="RandomJitter", sigma=0.005, clip=0.02),
]
color_augment = [
    dict(type="RandomColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.02, p=0.8),
    dict(type="ChromaticTranslation", p=0.95, ratio=0.05),
    dict(type="ChromaticJitter", p=0.95, std=0.05),
    dict(type="MSMDropInputs", drop_color=0.0, drop_normal=0.0),
]

"""Package metadata. Importing torch here is forbidden: the package must install before anything heavy is there."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def load_version() -> str:
    """Version string of the package, read as text so that nothing is imported."""
    source = ROOT / "pointcept_msm" / "__init__.py"
    found = re.search(r'^__version__\s*=\s*"([^"]+)"', source.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f'{source} has no line `__version__ = "X.Y.Z"`; add one, setup.py reads the version there.')
    return found.group(1)


class BuildWithConfigs(build_py):
    """Puts configs/msm and the cards of the weights into the wheel; an editable install finds them in place."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "pointcept_msm" / "configs" / "msm"
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "configs" / "msm", target, ignore=ignore, dirs_exist_ok=True)
            for card in (ROOT / "docs" / "models").glob("*.md"):
                shutil.copy(card, Path(self.build_lib) / "pointcept_msm" / "weights")


# Nothing here is compiled for a CUDA version: on a GPU the kernels need only Triton, which comes with torch on Linux.
INSTALL = [
    "torch>=2.4",
    "numpy>=1.24",
    "mmengine-lite>=0.10.4",
    "safetensors>=0.4",
    "filelock>=3.12",
    "tensorboard>=2.12",
    "tqdm>=4.60",
    "rich>=13",
    "plyfile>=1.0",
    "scipy>=1.10",
    "pillow>=10.1",
]

EXTRAS = {
    # ruff is pinned because another release formats differently. torch for CUDA brings its own Triton; beside a torch
    # for CPUs it interprets the kernels and compiles them for GPUs that are not there.
    "dev": [
        "pytest>=8",
        "ruff==0.17.6",
        "hypothesis>=6.100",
        "scikit-learn>=1.3",
        "setuptools>=70.1",
        "shapely>=2",
        "triton>=3; platform_system == 'Linux'",
    ],
    "hub": ["huggingface_hub>=0.23"],
    # Laser scans (.las, .laz, .e57) and meshes (.obj, .glb, .stl, .off).
    "formats": ["laspy[lazrs]>=2.4", "pye57>=0.4; platform_machine != 'aarch64'", "trimesh>=4.5"],
    "plots": ["matplotlib>=3.7"],  # tools/plot.py
    # What a Pointcept checkout (d74c646) imports. Its CUDA extension pointops is built from its libs/pointops.
    "pointcept": [
        "numpy<2.4",  # the checkout calls np.in1d, which numpy 2.4 no longer has
        "spconv-cu120; platform_system == 'Linux'",
        "torch-scatter",
        "torch-cluster",
        "torch-geometric",
        "torchvision",
        "addict",
        "einops",
        "h5py",
        "open3d",
        "packaging",
        "peft",
        "pillow",
        "scipy",
        "sharedarray",
        "tensorboard",
        "tensorboardX",
        "termcolor",
        "timm",
        "transformers",
        "wandb",
        "yapf",
    ],
}
EXTRAS["dev"] += [*EXTRAS["hub"], *EXTRAS["formats"], *EXTRAS["plots"]]  # else their tests would be skipped

setup(
    name="pointcept_msm",
    version=load_version(),
    description="Masked Scene Modeling: self-supervised learning on 3D scenes, with or without Pointcept",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="pointcept_msm authors",
    license="MIT",
    license_files=["LICENSE"],
    project_urls={
        "Paper": "https://arxiv.org/abs/2504.06719",
        "Pointcept": "https://github.com/Pointcept/Pointcept",
    },
    keywords=["self-supervised learning", "3D scenes", "point cloud", "Pointcept"],
    packages=find_packages(include=["pointcept_msm", "pointcept_msm.*"]),
    package_data={"pointcept_msm": ["weights/*.safetensors", "pictures/page.html", "py.typed"]},
    entry_points={"console_scripts": ["msm=pointcept_msm.__main__:main"]},
    cmdclass={"build_py": BuildWithConfigs},
    python_requires=">=3.10",
    install_requires=INSTALL,
    extras_require=EXTRAS,
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)

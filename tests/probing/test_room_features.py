"""The probes against scikit-learn on what they are for: features of a network, here at random, on procedural rooms."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from pointcept_msm.features.extractor import build_extractor
from pointcept_msm.host.run_config import load_run_config
from pointcept_msm.probing.features import extract_scene
from pointcept_msm.probing.knn import predict_knn
from pointcept_msm.probing.linear import fit_linear
from pointcept_msm.probing.metrics import confusion_matrix, segmentation_scores
from pointcept_msm.rooms import generate_room
from pointcept_msm.runtime.training_state import to_plain

pytestmark = pytest.mark.slow
CLASSES = 22


def score(pred, label):
    return segmentation_scores(confusion_matrix(pred, label, CLASSES))["mIoU"]


@pytest.fixture(scope="module")
def room_features():
    """(levels, train features and labels, test features and labels)."""
    import torch

    torch.manual_seed(0)
    cfg = load_run_config("probe-rooms-tiny")
    source = build_extractor(None, to_plain(cfg.backbone), dict(grid_size=0.08))
    parts = []
    for split, rooms in (("train", 4), ("val", 2)):
        scenes = [dict(generate_room(0, split, i, points=30_000), name=f"{split}/{i}") for i in range(rooms)]
        scenes = [extract_scene(source, scene, points=1000) for scene in scenes]
        parts += [np.concatenate([s.feat for s in scenes]), np.concatenate([s.segment for s in scenes])]
    return source.levels, *parts


@pytest.mark.parametrize("l2", [1e-2, 1e-4])
def test_linear_within_half_a_point(room_features, l2):
    _, feat, label, test, truth = room_features
    scaler = StandardScaler().fit(feat.astype(np.float64))
    model = LogisticRegression(C=1 / (l2 * len(feat)), max_iter=5000, tol=1e-7)
    model.fit(scaler.transform(feat.astype(np.float64)), label)
    want = score(model.predict(scaler.transform(test.astype(np.float64))), truth)
    ours = score(fit_linear(feat, label, CLASSES, l2).predict(test), truth)
    print(f"l2 {l2}: scikit-learn {want:.2f}, ours {ours:.2f} mIoU")
    assert abs(want - ours) < 0.5


@pytest.mark.parametrize("k", [1, 20])
def test_knn_equals(room_features, k):
    levels, feat, label, test, truth = room_features

    def unit(x):
        blocks = [x[:, s].astype(np.float64) for _, _, s in levels]
        return np.concatenate([b / np.linalg.norm(b, axis=1, keepdims=True) for b in blocks], 1) / len(blocks) ** 0.5

    distance, row = (
        NearestNeighbors(n_neighbors=k, algorithm="brute", metric="cosine").fit(unit(feat)).kneighbors(unit(test))
    )
    votes = np.zeros((len(test), CLASSES))
    np.add.at(votes, (np.arange(len(test))[:, None], label[row]), np.exp((1 - distance) / 0.07))
    ours = predict_knn(test, feat, label, CLASSES, ks=(k,), levels=levels)[k]
    same = (ours == votes.argmax(1)).mean()
    print(f"k {k}: {100 * same:.2f} % of the predictions are scikit-learn's; {score(ours, truth):.2f} mIoU")
    assert same > 0.995 and abs(score(ours, truth) - score(votes.argmax(1), truth)) < 0.5

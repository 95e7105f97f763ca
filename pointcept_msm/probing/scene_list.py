"""The scenes of a dataset as the probes want them: raw, in an order of their own, a bounded number of them."""

from collections.abc import Iterator

from pointcept_msm.probing.budgets import scene_rng


class SceneList:
    """Scenes of `dataset` through `dataset.get_data(i)`, sorted by split and name; no transform is applied.

    limit: at most this many, a seeded draw by name. TypeError: the dataset has no get_data.
    """

    def __init__(self, dataset, limit: int | None = None, seed: int = 0):
        while not hasattr(dataset, "get_data") and hasattr(dataset, "dataset"):
            dataset = dataset.dataset  # a loader's wrapper around the dataset itself
        if not hasattr(dataset, "get_data"):
            raise TypeError(
                f"{type(dataset).__name__} has no get_data(i), which gives a raw scene; use one dataset, "
                "not a mix of several"
            )
        self.dataset = dataset
        count = len(dataset.data_list) if hasattr(dataset, "data_list") else len(dataset)
        known = sorted((self._name(i), i) for i in range(count))
        if limit is not None and limit < count:
            picked = scene_rng("scenes", seed).permutation(count)[:limit]
            known = [known[j] for j in sorted(picked)]
        self.names, self.indices = [name for name, _ in known], [i for _, i in known]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict:
        """One scene; its `name` is unique within the list ("<split>/<scene>")."""
        if position >= len(self):
            raise IndexError(position)
        return {**self.dataset.get_data(self.indices[position]), "name": self.names[position]}

    def __iter__(self) -> Iterator[dict]:
        return (self[i] for i in range(len(self)))

    def _name(self, index):
        if hasattr(self.dataset, "get_data_name"):
            split = self.dataset.get_split_name(index) if hasattr(self.dataset, "get_split_name") else ""
            return f"{split}/{self.dataset.get_data_name(index)}"
        scene = self.dataset.get_data(index)
        return f"{scene.get('split', '')}/{scene['name']}"


def check_disjoint(train: SceneList, test: SceneList) -> None:
    """Raise ValueError when a scene is in both lists, or when either is empty."""
    if not len(train) or not len(test):
        raise ValueError(f"{len(train)} train and {len(test)} test scenes; probes need at least one of each")
    shared = sorted(set(train.names) & set(test.names))
    if shared:
        raise ValueError(
            f"{len(shared)} of {len(test)} test scenes are train scenes too (first: {shared[0]}); give data.train and "
            "data.test different splits"
        )

"""MSMProbeTester: the protocol for judging frozen features, on exported networks, beside what no training gives."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import torch

from pointcept_msm.conversion.sources import TRAINING_PREFIXES, find_run_network
from pointcept_msm.engines.export import NETWORKS
from pointcept_msm.features.extractor import build_extractor
from pointcept_msm.files.torch_files import find_state_dict, read_torch_file
from pointcept_msm.files.weights import digest_file, find_weights, load_checkpoint
from pointcept_msm.host import TESTERS, build_dataset, open_test_log, register
from pointcept_msm.host.run_files import restore_train_config
from pointcept_msm.probing.evaluate import Outcome, ProbeSettings, evaluate_probes
from pointcept_msm.probing.features import WIDTH, RawInput, SceneList, WithoutInputs, check_scenes, extract_scenes
from pointcept_msm.probing.report import Row, build_results, print_table, save_report
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError
from pointcept_msm.runtime.training_state import to_plain

LOGGER = logging.getLogger("msm")
BASELINES = ("random", "raw")
PREFIXES = {**TRAINING_PREFIXES, "backbone": "backbone."}  # the last: of a segmentor


@dataclass
class ProbeOptions(ProbeSettings):
    """Keys of `cfg.test`, beside those of the probes themselves.

    networks: of student and teacher; none for the baselines alone, whose network is then the config's `backbone`.
    points_per_scene: points drawn from each train scene; test_points: from each test scene (None: all). scenes: at most
    so many train scenes (None: all). ignore: labels that mean unknown, beside -1. seeds: one run each, over draws of
    points, held-out scenes, the bank and the random initialisation. supervised: weights of a supervised network, for a
    row of its own. without: of color and normal, taken from every scene before features are computed; what stands for
    them is the network's own fill, or that of `fill`. num_classes, device: of the data and this process, unless given.
    """

    networks: Sequence[str] = NETWORKS
    baselines: Sequence[str] = BASELINES
    supervised: str | None = None
    points_per_scene: int | None = 1000
    test_points: int | None = None
    scenes: int | None = None
    ignore: Sequence[int] = ()
    seeds: Sequence[int] = (0,)
    max_voxels: int = 500_000
    fill: dict | None = None
    without: Sequence[str] = ()

    def __post_init__(self):
        super().__post_init__()
        if not (self.networks or self.baselines or self.supervised):
            raise UserError("test.networks and test.baselines are both empty: nothing to judge; give one of them")
        for name, given, known in (("baselines", self.baselines, BASELINES), ("networks", self.networks, NETWORKS)):
            if any(x not in known for x in given):
                raise UserError(f"test.{name} is {list(given)}; allowed: {', '.join(known)}")


def build_options(values: dict, data: dict, kind: type[ProbeOptions] = ProbeOptions) -> ProbeOptions:
    """Options from a config's sections `test` and `data`. UserError: unknown keys, no number of classes."""
    values = {key: value for key, value in values.items() if key not in ("type", "verbose")}
    allowed = [field.name for field in fields(kind)]
    unknown = [key for key in values if key not in allowed]
    if unknown:
        raise UserError(f"unknown key(s) in test: {', '.join(unknown)}; allowed: {', '.join(allowed)}")
    values["num_classes"] = values.get("num_classes") or data.get("num_classes")
    if not values["num_classes"]:
        raise UserError("the number of classes is not known; set data.num_classes")
    default = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    values["device"] = values.get("device") or default
    return kind(**values)


class ProbeNetwork(NamedTuple):
    """One network to judge: its name (student, teacher, ...), weights, the config that builds it, its meta, and the
    SHA-256 of the file that it came from."""

    name: str
    state_dict: Mapping[str, torch.Tensor] | None
    config: dict
    meta: dict
    checkpoint: str = "-"


def load_networks(weight: str | Path, wanted=NETWORKS) -> list[ProbeNetwork]:
    """Networks at `weight`: a folder with <name>.safetensors, a .safetensors file, a shipped name, or a training .pth.

    UserError: nothing there, or nothing wanted.
    """
    path = Path(weight)
    if path.suffix in (".pth", ".pt"):
        return load_training_checkpoint(path, wanted)
    files = [path / f"{name}.safetensors" for name in wanted] if path.is_dir() else [find_weights(weight)]
    files = [file for file in files if file.is_file()]
    if not files:
        raise UserError(
            f"{path} holds none of {', '.join(f'{n}.safetensors' for n in wanted)}; give a file or a run's folder"
        )
    networks = []
    for file in files:
        state_dict, config, meta = load_checkpoint(file)
        name = str(meta.get("network") or file.stem)
        networks.append(ProbeNetwork(name, state_dict, config, meta, digest_file(file)))
    return networks


def load_training_checkpoint(path: Path, wanted) -> list[ProbeNetwork]:
    """The wanted networks of a model_last.pth or model_best.pth; nothing in it, or in config.py beside it, is run."""
    checkpoint = read_torch_file(path)
    config, meta = find_run_network(checkpoint, path)
    if not config:
        raise UserError(
            f"{path} holds weights only, and no config.py beside it says of which network; turn it into a .safetensors "
            "file with tools/convert_checkpoint.py"
        )
    state, digest = find_state_dict(checkpoint, path), digest_file(path)
    networks = []
    for name in wanted:
        prefix = PREFIXES[name]
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if own:
            networks.append(ProbeNetwork(name, own, dict(config), dict(meta, network=name), digest))
    if not networks:
        kinds = sorted({".".join(key.split(".")[:2]) for key in state})
        raise UserError(f"{path} has no {' or '.join(PREFIXES[n] + '*' for n in wanted)}, only {', '.join(kinds[:6])}")
    return networks


class Candidate(NamedTuple):
    """A row to be: build(seed) gives its feature source; checkpoint begins the SHA-256 of its weights' file."""

    method: str
    network: str
    build: Callable
    checkpoint: str = "-"


@register(TESTERS, "MSMProbeTester")
class MSMProbeTester:
    """Fits probes on `cfg.data.train`, reads `cfg.data.test` once, prints the table and writes results.json and
    results.md.

    cfg.weight: an exported .safetensors, a folder holding student's and teacher's, or a model_last.pth.
    Options: `ProbeOptions`, from cfg.test or as keywords. Several processes share the scenes, the first fits.
    """

    options_type = ProbeOptions

    def __init__(self, cfg, **options):
        self.cfg = cfg
        open_test_log(cfg.save_path)
        if comm.is_main_process() and restore_train_config(Path(cfg.save_path)):  # Pointcept's test.sh replaced it
            LOGGER.info("config.py is the training's again, the test's is test_config.py")
        values = {**to_plain(cfg.get("test") or {}), **to_plain(options)}
        self.options = build_options(values, cfg.data, self.options_type)

    def test(self) -> dict | None:
        """Run everything; returns what results.json holds, None on processes other than the first."""
        candidates = list(self.build_candidates())  # before the data, which may take minutes to make or to find
        train = self.build_scenes("train", self.options.scenes)
        test = self.build_scenes("test")
        check_scenes(train, test, self.options.num_classes)
        rows = [self.judge(candidate, train, test) for candidate in candidates]
        if not comm.is_main_process():
            return None
        names = to_plain(self.cfg.data.get("names") or [])
        results = build_results(rows, dict(vars(self.options), weight=str(self.cfg.get("weight"))), names)
        path = save_report(self.cfg.save_path, results)
        print_table(results)
        LOGGER.info("probe results: %s", path)
        return results

    def build_scenes(self, part: str, limit: int | None = None) -> SceneList:
        """The scenes of cfg.data.train or cfg.data.test."""
        if part not in self.cfg.data:
            raise UserError(f"the config has no data.{part}; probes fit on data.train and score on data.test")
        return SceneList(build_dataset(self.cfg.data[part]), limit, ignore=self.options.ignore)

    def build_blank(self) -> ProbeNetwork:
        """The config's network without weights, for the baselines when nothing is judged."""
        cfg = self.cfg
        config = to_plain(cfg.get("backbone") or (cfg.get("model") or {}).get("backbone") or {})
        meta = {key: to_plain(cfg.get(key)) for key in ("grid_size", "feat_keys")}
        if not config or not meta["grid_size"]:
            raise UserError(
                "with test.networks=[] random initialisation needs the config's `backbone` and `grid_size`; give them, "
                "or test.baselines=[raw]"
            )
        return ProbeNetwork("-", None, config, meta)

    def build_candidates(self) -> Iterator[Candidate]:
        """Every row of the table, ours first."""
        if self.options.networks and not self.cfg.get("weight"):
            raise UserError(
                "no weights to judge; give weight=FILE (.safetensors, a run's folder, or model_last.pth), or "
                "test.networks=[] for the baselines alone"
            )
        networks = load_networks(self.cfg.weight, self.options.networks) if self.options.networks else []
        supervised = load_networks(self.options.supervised, ("backbone",)) if self.options.supervised else []
        for n in [*networks, *supervised]:
            method = str(n.meta.get("method") or "MSM")
            yield Candidate(method, n.name, lambda seed, n=n: self.build_source(n), n.checkpoint[:16])
        if "random" in self.options.baselines:
            blank = networks[0]._replace(state_dict=None) if networks else self.build_blank()
            yield Candidate("random initialisation", "-", lambda seed: self.build_source(blank, seed))
        if "raw" in self.options.baselines:
            keys = [key for key in WIDTH if key not in self.options.without]
            yield Candidate("raw input", "-", lambda seed: RawInput(keys))

    def build_source(self, network: ProbeNetwork, seed: int = 0):
        """The extractor of a network, initialised from `seed` if it has no weights; no random generator is moved."""
        option = self.options
        settings = dict(max_voxels=option.max_voxels, fill=option.fill)
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # manual_seed reaches every GPU
            torch.manual_seed(seed)
            source = build_extractor(network.state_dict, network.config, network.meta, option.device, **settings)
        return WithoutInputs(source, option.without) if option.without else source

    def judge(self, candidate: Candidate, train: SceneList, test: SceneList) -> Row | None:
        """One row: all probes, once a seed; None on processes other than the first."""
        option, row = self.options, None
        for seed in option.seeds:
            source = candidate.build(seed)
            outcome = self.evaluate(source, train, test, seed)
            if outcome is None:
                continue
            voxel_size = getattr(source, "voxel_size", None)
            facts = dict(width=source.channels, voxel_size=voxel_size, checkpoint=candidate.checkpoint)
            row = row or Row(candidate.method, candidate.network, len(train), len(test), **facts)
            row.add(outcome)
            shown = ", ".join(f"{name} {value:.1f}" for name, value in outcome.metrics.items())
            LOGGER.info("%s (%s), seed %d: %s", candidate.method, candidate.network, seed, shown)
        return row

    def evaluate(self, source, train: SceneList, test: SceneList, seed: int) -> Outcome | None:
        """All probes fitted on one source's features; None on processes other than the first."""
        option = self.options
        known = list(extract_scenes(source, train, points=option.points_per_scene, seed=seed))
        unseen = extract_scenes(source, test, points=option.test_points, seed=seed)
        if comm.is_main_process():
            return evaluate_probes(known, unseen, source.levels, option, seed)
        for _ in unseen:  # keeps step with the first process
            pass
        return None

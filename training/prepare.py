"""What every rank does before the first epoch: open its chips, build, and meet the others at one start."""

from __future__ import annotations

import math
import platform
import sys
from dataclasses import asdict, dataclass, replace

import keras

from labeling.chips.check import check_chips
from labeling.chips.passed import has_passed, look_at_chips, note_passed
from labeling.errors import ConfigError
from training.data.feeders import Feeders
from training.data.store import ChipStore
from training.folder import checkpoints
from training.folder.checkpoints import Checkpoint, State
from training.folder.opening import open_folder
from training.folder.start import load_start, start_digest
from training.network.inputs import CHANNEL_COUNT
from training.network.losses import ClassWeights, Loss, balanced_weights, make_loss
from training.network.precision import POLICIES, settle_keras
from training.network.squeezenet import build_squeezenet
from training.network.unet import build_unet
from training.ranks import collectives
from training.ranks.balancer import Balancer
from training.ranks.collectives import World
from training.ranks.device import Device
from training.ranks.exchange import Exchange
from training.ranks.gpus import Held, sharing
from training.settings.config import TrainConfig
from training.settings.facts import Facts, differences, facts_of, joined
from training.settings.task import CLASSES
from training.step import make_optimizer


@dataclass(frozen=True)
class Training:
    """Everything an epoch needs, on one rank."""

    config: TrainConfig
    world: World
    train: ChipStore
    val: ChipStore
    model: keras.Model
    kept: keras.Model
    """The network that model.keras gets: `model` itself, or with mixed precision a twin in float32."""
    optimizer: keras.Optimizer
    loss: Loss
    facts: Facts
    """What decides the weights; see settings/facts.py."""
    balancer: Balancer
    """Which share of each global batch this rank takes."""
    feeders: Feeders | None = None
    """Processes that make its batches; None: a thread does."""

    @property
    def exchange(self) -> Exchange:
        """How gradients travel between the ranks."""
        pixels = math.prod(self.train.label_shape)
        return Exchange.of(self.config, ranks=self.world.size, pixels=pixels)

    @property
    def global_batch(self) -> int:
        """Chips of an update, over all ranks."""
        return self.config.rank_batch * self.world.size


def open_splits(config: TrainConfig) -> tuple[ChipStore, ChipStore]:
    """Return the training and the validation chips; ConfigError when they cannot be trained on."""
    train, val = ChipStore(config.chips, "train", config.task), ChipStore(config.chips, "val", config.task)
    if not len(train):
        raise ConfigError(
            f"no training chips in {config.chips}: its train split is empty ({train.card.counts}). "
            "Make chips from more scenes, or with smaller val and test shares."
        )
    if config.patience is not None and not len(val):
        raise ConfigError(
            f"patience needs validation chips and {config.chips} has none ({train.card.counts}): "
            "make chips with a larger val share, or leave patience out"
        )
    multiple = 2 ** (config.depth - 1)
    if config.task == "segment" and train.card.size % multiple:
        raise ConfigError(
            f"a network of depth {config.depth} takes chips whose side is a multiple of {multiple} pixels, "
            f"those in {config.chips} have {train.card.size}: lower `depth` or make chips of another size"
        )
    if config.tones and train.card.cut_points is None:
        raise ConfigError(
            f"tones needs the labels' cut points, which {config.chips}/chips.json does not tell: an older "
            "version made it. Make the chips again with python -m jobs.label, or leave tones out."
        )
    _check_classes(config, train)
    return train, val


def _check_classes(config: TrainConfig, train: ChipStore) -> None:
    """Raise ConfigError when the training chips show too few classes."""
    absent = absent_classes(train)
    if config.task == "classify":
        # That kinds are absent is usual: without a cloud mask, say, no chip is known to be cloud.
        if len(absent) > len(CLASSES["classify"]) - 2:
            raise ConfigError(
                f"the training chips in {config.chips} are all of one kind, as far as theirs is known: "
                "there is nothing to tell apart. Make chips from more scenes."
            )
    elif absent and config.absent_classes == "refuse":
        raise ConfigError(
            f"no training chip in {config.chips} shows {' or '.join(absent)}, and a network cannot learn "
            "what it never sees. Make chips from more scenes, or set `absent_classes: allow`."
        )


def absent_classes(train: ChipStore) -> list[str]:
    """Return the titles of the classes that no training chip shows."""
    classes = CLASSES[train.task]
    return [each.title for each, count in zip(classes, train.class_counts, strict=True) if not count]


def meet_devices(own: Device) -> None:
    """Check that the ranks compute on devices that go together; a collective. ConfigError on all ranks."""
    with collectives.agreeing("device"):
        own.check()
    problem = sharing([Held(*each) for each in collectives.gathered(own.held, "devices")])
    if problem is not None:
        raise ConfigError(problem)


def meet(config: TrainConfig, world: World, train: ChipStore, val: ChipStore) -> None:
    """Check that all ranks were given the same: chips, configuration, chips of the right size; a collective.

    Chips that have passed before, and look as they did then, are not opened. ConfigError on all ranks names
    what differs, on which rank and host.
    """
    own = config.model_dump(mode="json", exclude={"chips", "out", "start", "threads", "feeders"})
    own |= {"chips": train.fingerprint, "validation chips": val.fingerprint, "start": start_digest(config)}
    look = look_at_chips(config.chips, train.card, config.task)
    told = (platform.node(), str(config.chips), own, look, has_passed(config.chips, look))
    hosts = collectives.gathered(told, "meet")
    for rank, (host, chips, given, *_) in enumerate(hosts):
        found = differences(hosts[0][2], given)
        if found:
            raise ConfigError(
                f"rank {rank} on {host} (chips {chips}) does not see what rank 0 on {hosts[0][0]} "
                f"(chips {hosts[0][1]}) does: {'; '.join(found)}. Give every rank the same configuration and "
                "the same chips folder, or a copy of it."
            )
    if all(passed for *_, passed in hosts):
        return
    with collectives.agreeing("sizes"):
        for store in (train, val):
            store.check_sizes(rank=world.rank, size=world.size)
        check_chips(config.chips, train.card, rank=world.rank, size=world.size)
    # Each rank has looked before any began to check, and all saw the same files, not copies of their own.
    if world.leads and look is not None and all(each == look for *_, each, _ in hosts):
        note_passed(config.chips, look)


def build(config: TrainConfig, world: World, train: ChipStore, val: ChipStore) -> Training:
    """Make model and optimiser. Each rank starts from weights of its own until rank 0's are broadcast.

    ConfigError, on all ranks alike, for a balance that does not fit their number.
    """
    keras.utils.set_random_seed(config.seed + world.rank)
    model = make_network(config, POLICIES[config.precision])
    kept = model if config.precision == "float32" else make_network(config, POLICIES["float32"])
    optimizer = make_optimizer(
        config.optimizer,
        config.learning_rate,
        model,
        precision=config.precision,
        pixels=config.batch_size * math.prod(train.label_shape),
    )
    loss = make_loss(config.loss, class_weights(config, train), config.focal_gamma)
    start = start_digest(config)
    facts = facts_of(config, ranks=world.size, chips=train.card.digest, start=start, elastic=world.elastic)
    balancer = Balancer(config, world)
    return Training(config, world, train, val, model, kept, optimizer, loss, facts, balancer)


def make_network(config: TrainConfig, policy: str) -> keras.Model:
    """Return the configured network with first weights, computing as a Keras dtype policy says."""
    settle_keras()
    if config.task == "classify":
        return build_squeezenet(
            channels=CHANNEL_COUNT[config.channels],
            classes=len(CLASSES["classify"]),
            width=config.width,
            dropout=config.dropout_rates[0],
            policy=policy,
        )
    return build_unet(
        channels=CHANNEL_COUNT[config.channels],
        depth=config.depth,
        width=config.width,
        dropout=config.dropout_rates,
        policy=policy,
    )


def class_weights(config: TrainConfig, train: ChipStore) -> ClassWeights | None:
    """Return the configured weight of each class, None for none."""
    if config.class_weights == "none":
        return None
    if config.class_weights == "balanced":
        return balanced_weights(train.class_counts)
    return config.class_weights


def begin(training: Training, *, resume: bool, overwrite: bool, committed: Checkpoint | None = None) -> State:
    """Bring all ranks to one start: rank 0's newest checkpoint, or its first weights.

    `committed` is a checkpoint in memory; with `resume` the newer of it and the folder's counts.
    """
    config = training.config
    state = State(epoch=0, history=[], best_epoch=0, best_scores=None, facts=training.facts)
    with collectives.agreeing("checkpoint"):
        if training.world.leads:
            found = open_folder(config.out, resume=resume, overwrite=overwrite, facts=training.facts)
            found = checkpoints.newest(found, committed)
            if found is not None:
                checkpoints.restore(found, training.model, training.optimizer)
                state = replace(found.state, facts=joined(found.state.facts, training.facts))
                print(_place(state, training), file=sys.stderr, flush=True)
            elif config.start is not None:
                load_start(config.start, training.model)
    state = State.of(collectives.broadcast_object(asdict(state), "state"))
    collectives.broadcast(training.model.weights)
    collectives.broadcast(training.optimizer.variables)
    return state


def _place(state: State, training: Training) -> str:
    seen, chips, ranks = state.part.seen, len(training.train), training.world.size
    part = f" and {seen} of {chips} chips of the next" if seen else ""
    ranks_now = f", ranks: {ranks}" if training.world.elastic else ""
    return f"train: going on after epoch {state.epoch}{part}{ranks_now}"

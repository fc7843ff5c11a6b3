from dataclasses import replace

import numpy as np
import pytest

from labeling.errors import ConfigError
from training.folder.checkpoints import (
    KEPT,
    Part,
    State,
    checkpoint_files,
    latest,
    newest,
    read,
    restore,
    save,
    taken,
)
from training.network.unet import build_unet
from training.step import make_optimizer


@pytest.fixture
def made():
    model = build_unet(channels=1, depth=1, width=2, dropout=(0.0,))
    return model, make_optimizer("adam", 0.01, model)


def state(epoch):
    part = Part(seen=3, steps=2, loss=0.1, weight=7.0, seconds=1.5, rate=0.01)
    return State(
        epoch=epoch, history=[{"epoch": epoch}], best_epoch=1, best_scores=None, facts={"depth": 1},
        steps=10 * epoch, part=part,
    )  # fmt: skip


def values(variables):
    return [np.array(variable) for variable in variables]


def test_weights_optimiser_and_state_come_back_bit_for_bit(tmp_path, made):
    model, optimizer = made
    rng = np.random.default_rng(0)
    for _ in range(3):
        optimizer.apply([rng.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables])
    weights, moments = values(model.weights), values(optimizer.variables)
    file = save(tmp_path, state(7), model, optimizer)
    assert file.name == "step-00000070.npz"

    fresh = build_unet(channels=1, depth=1, width=2, dropout=(0.0,))
    fresh_optimizer = make_optimizer("adam", 0.5, fresh)
    found = latest(tmp_path)
    restore(found, fresh, fresh_optimizer)
    assert found.state == state(7)
    for before, after in zip(
        weights + moments, values(fresh.weights + fresh_optimizer.variables), strict=True
    ):
        np.testing.assert_array_equal(after, before)


def test_only_the_newest_are_kept_and_nothing_half_written(tmp_path, made):
    for epoch in range(1, 7):
        save(tmp_path, state(epoch), *made)
    assert [read(file).state.epoch for file in checkpoint_files(tmp_path)] == [4, 5, 6]
    assert len(list((tmp_path / "checkpoints").iterdir())) == KEPT


@pytest.mark.parametrize("share", [0, 0.3, 0.95])
def test_a_cut_off_checkpoint_is_passed_over_with_a_message(tmp_path, made, capsys, share):
    for epoch in (1, 2):
        file = save(tmp_path, state(epoch), *made)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    assert latest(tmp_path).state.epoch == 1
    assert "step-00000020.npz" in capsys.readouterr().err


def test_a_flipped_byte_is_noticed(tmp_path, made):
    save(tmp_path, state(1), *made)
    file = save(tmp_path, state(2), *made)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    assert latest(tmp_path).state.epoch == 1


def test_no_readable_checkpoint_is_an_error_and_none_at_all_is_none(tmp_path, made):
    assert latest(tmp_path) is None
    save(tmp_path, state(1), *made).write_bytes(b"")
    with pytest.raises(ConfigError, match="--overwrite"):
        latest(tmp_path)


def test_a_checkpoint_in_memory_brings_back_what_was(made):
    model, optimizer = made
    before = values(model.weights + optimizer.variables)
    checkpoint = taken(state(1), model, optimizer)
    optimizer.apply([np.ones(v.shape, np.float32) for v in model.trainable_variables])
    changed = values(model.weights + optimizer.variables)
    assert not all(np.array_equal(a, b) for a, b in zip(before, changed, strict=True))
    restore(checkpoint, model, optimizer)
    for a, b in zip(before, values(model.weights + optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_newest_has_made_more_updates_or_finished_its_epoch(made):
    early, late = (taken(state(epoch), *made) for epoch in (1, 2))
    validated = taken(replace(state(2), epoch=3), *made)
    assert newest(late, early) is newest(early, late) is late
    assert newest(validated, late) is newest(late, validated) is validated
    assert newest(None, early) is early
    assert newest(None, None) is None


def test_a_checkpoint_without_numbers_is_passed_over(tmp_path, made, capsys):
    model, optimizer = made
    save(tmp_path, state(1), model, optimizer)
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    save(tmp_path, state(2), model, optimizer)
    assert latest(tmp_path).state.epoch == 1
    assert "no numbers" in capsys.readouterr().err


def test_an_edited_state_is_passed_over(tmp_path, made):
    file = save(tmp_path, state(1), *made)
    with np.load(file) as arrays:
        held = dict(arrays)
    held["state"] = np.array(str(held["state"]).replace('"epoch": 1', '"epoch": "one"', 1))
    np.savez(file, **held)
    with pytest.raises(ConfigError, match="start again with --overwrite"):
        latest(tmp_path)


def test_a_checkpoint_of_another_network_is_told_in_a_sentence(tmp_path, made):
    save(tmp_path, state(1), *made)
    other = build_unet(channels=1, depth=2, width=2, dropout=(0.0, 0.0))
    with pytest.raises(ConfigError, match=r"holds other weights .*--overwrite"):
        restore(latest(tmp_path), other, make_optimizer("adam", 0.01, other))

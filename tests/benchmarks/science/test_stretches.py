"""The benchmarks of calibration and doubts, in little: they run, and their goals are about kept."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.science import carried, doubts, stretches
from labeling.simulation.scene import SceneSpec, simulate


def test_the_best_pair_is_the_best_of_all():
    rng = np.random.default_rng(0)
    shares = rng.integers(0, 50, (3, 256)) * (rng.random((3, 256)) < 0.03)
    accuracy = stretches.accuracies(shares)
    for water, thin in ((3, 9), (30, 204), (100, 101), (0, 254)):
        right = (
            shares[0, : water + 1].sum() + shares[1, water + 1 : thin + 1].sum() + shares[2, thin + 1 :].sum()
        )
        assert accuracy[water, thin] == pytest.approx(right / shares.sum())
    assert (accuracy[np.tril_indices(256)] == 0).all()


def test_stretches_rise_and_are_drawn_by_seed():
    value = np.arange(256.0)
    for draw, low, high in stretches.DRAWN.values():
        text, curve = draw(np.random.default_rng(1), low, high)
        assert (np.diff(curve(value)) > 0).all()
        assert draw(np.random.default_rng(1), low, high)[0] == text


def test_calibration_comes_near_the_best_under_some_stretches(tmp_path, capsys):
    options = ["--times", "1", "--scenes", "8", "--side", "320", "--json", str(tmp_path / "s.json")]
    stretches.main(options)
    results = json.loads((tmp_path / "s.json").read_text())
    assert len(results) == len(stretches.DRAWN) + len(stretches.CUT_OFF)
    lost = {name: np.array([each["lost"][name] for each in results]) for name in results[0]["lost"]}
    assert (lost["stepwise"] <= 0.03).mean() >= 0.8
    assert (lost["10 hints a class"] <= 0.015).mean() >= 0.8  # at full size 0.01, docs/calibration.md
    assert lost["stepwise"].mean() < 0.5 * lost["otsu"].mean()
    assert "stepwise: at most 0.03 lost in" in capsys.readouterr().out


def test_right_scenes_are_believed_and_stretched_ones_doubted(tmp_path, capsys):
    doubts.main(["--scenes", "36", "--side", "256", "--json", str(tmp_path / "d.json")])
    result = json.loads((tmp_path / "d.json").read_text())
    assert np.mean([bool(codes) for codes in result["right"]]) <= 0.06  # two of 36; of 360 it is under 1 %
    wrong = [each["codes"] for each in result["wrong"] if each["lost"] >= 0.1]
    assert np.mean([bool(codes) for codes in wrong]) >= 0.6
    assert "right scenes doubted" in capsys.readouterr().out


def test_the_filter_carried_over_gains_as_without_a_stretch():
    scene = simulate(
        SceneSpec(scene_id="a", height=320, width=320, seed=7, ice_cover=0.95, thin_share=0.1, cloud=0.5)
    )
    gains = {}
    for stretch in ("none", "0.6 V", "V ^ 1.3"):
        alone, filtered = carried.measure(scene, stretch)
        gains[stretch] = filtered - alone
    assert gains["none"] > 0.02
    assert min(gains.values()) > gains["none"] - 0.03


def test_scenes_of_another_renderer_are_read_with_their_truth(tmp_path):
    truth = np.repeat([0, 1, 2, 255], 10)[None].repeat(8, axis=0).astype(np.uint8)
    picture = (
        np.array([10, 100, 240, 0], np.uint8)[[0, 1, 2, 3]]
        .repeat(10)[None, :, None]
        .repeat(8, 0)
        .repeat(3, 2)
    )
    cv2.imwrite(str(tmp_path / "a.tif"), picture)
    np.savez(tmp_path / "a.npz", truth=truth)
    [(value, classes)] = next(stretches.others(tmp_path, 0, 6))
    assert set(zip(value.tolist(), classes.tolist(), strict=True)) == {(10, 0), (100, 1), (240, 2)}

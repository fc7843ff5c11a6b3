from training.settings.config import TrainConfig
from training.settings.facts import DRAWN, ELASTIC, FREE, differences, facts_of, joined


def facts(ranks=1, chips="d", elastic=False, **changed):
    config = TrainConfig.model_validate({"chips": "c", "out": "o"} | changed)
    return facts_of(config, ranks=ranks, chips=chips, elastic=elastic)


def test_every_setting_either_counts_or_is_free_to_change():
    counted = set(facts(schedule="cosine")) - {"global_batch"} | {"batch_size", "accumulate"}
    assert counted | FREE == set(TrainConfig.model_fields)


def test_paths_length_and_how_a_batch_is_shared_out_may_change():
    before = facts(batch_size=8)
    assert differences(before, facts(batch_size=2, accumulate=2, ranks=2, epochs=99, out="elsewhere")) == []
    assert differences(before, facts(batch_size=8, dropout=(0.1, 0.1, 0.2, 0.2, 0.2))) == []


def test_differences_name_both_values():
    assert differences(facts(), facts(loss="focal", ranks=2)) == [
        "loss was 'crossentropy', now 'focal'",
        "global_batch was 32, now 64 (batch_size x accumulate x ranks)",
    ]
    assert differences(facts(), facts(chips="e")) == ["chips was 'd', now 'e'"]
    assert differences({"gone": 1}, {}) == ["gone was 1, now None"]


def test_a_training_from_before_the_exchange_had_settings_goes_on_unless_they_change_its_weights():
    now = facts()
    before = {key: value for key, value in now.items() if key != "exchange_precision"}
    assert differences(before, now) == []
    assert differences(before, facts(exchange_groups=1)) == []
    assert differences(before, facts(exchange_precision="float16")) == [
        "exchange_precision was None, now 'float16'"
    ]


def test_the_length_of_a_cosine_is_part_of_its_shape():
    assert differences(facts(schedule="cosine"), facts(schedule="cosine", epochs=60)) == [
        "epochs was 50, now 60"
    ]


def test_an_elastic_training_goes_on_with_any_number_of_ranks_and_stays_marked():
    fixed, free = facts(ranks=2), facts(ranks=2, elastic=True)
    assert free == facts(ranks=5, elastic=True)
    for before, now in ((fixed, free), (free, fixed), (free, free)):
        assert differences(before, now) == []
        assert joined(before, now)["global_batch"] == ELASTIC
    assert joined(fixed, facts(ranks=1, batch_size=64)) == fixed
    assert differences(free, facts(loss="dice")) == ["loss was 'crossentropy', now 'dice'"]


def test_a_training_whose_chips_were_drawn_otherwise_is_told_from_one_of_now():
    """Checkpoints of earlier versions do not name it, or name their noise."""
    for drawn in ({"skies": 0.7}, {"tones": 0.5}, {"brightness": 0.1}):
        now = facts(**drawn)
        before = {name: value for name, value in now.items() if name != "drawn"}
        assert differences(before, now) == [f"drawn was None, now {DRAWN!r}"]
        told = differences(before | {"noise": "256 quantiles of raw words"}, now)
        assert told[-1] == "noise was '256 quantiles of raw words', now None"
    assert "drawn" not in facts()

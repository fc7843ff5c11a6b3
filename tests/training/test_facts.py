from training.config import TrainConfig
from training.facts import FREE, differences, facts_of


def facts(ranks=1, chips="d", **changed):
    return facts_of(
        TrainConfig.model_validate({"chips": "c", "out": "o"} | changed), ranks=ranks, chips=chips
    )


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


def test_the_length_of_a_cosine_is_part_of_its_shape():
    assert differences(facts(schedule="cosine"), facts(schedule="cosine", epochs=60)) == [
        "epochs was 50, now 60"
    ]

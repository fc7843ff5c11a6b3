"""States of files that others name."""

from labeling.files.state import state_of


def test_a_name_that_no_file_can_have_counts_as_one_that_is_not_there(tmp_path):
    file = tmp_path / "item.json"
    file.write_text("{}")
    own = state_of(file)
    assert own.joined([str(tmp_path / ("x" * 5000))], str(tmp_path)) == own
    folder = str(tmp_path)
    assert (
        own.joined([str(file), str(tmp_path / ("x" * 300))], folder) == own.joined([str(file)], folder) != own
    )

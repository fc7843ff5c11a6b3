"""The whole way as jobs: which, in what order, and what each waits for."""

from jobs.slurm.pipeline import main, parser, sbatch, stages

ONE = ["--run", "run", "--scenes", "a.tif", "b.tif"]


def way(*arguments):
    return {stage.name: stage for stage in stages(parser().parse_args([*ONE, *arguments]))}


def test_the_whole_way():
    found = way("--train", "--epochs 3 --config 'my train.yaml'")
    assert {name: stage.after for name, stage in found.items()} == {
        "label": [], "train": ["label"], "infer": ["train"], "evaluate": ["infer"],
    }  # fmt: skip
    assert found["train"].arguments == [
        *("--chips", "run/chips", "--out", "run/model", "--epochs", "3", "--config", "my train.yaml")
    ]
    for name in ("label", "infer"):
        text = " ".join(found[name].arguments)
        assert "--failed-scenes accept" in text
        assert "--scenes a.tif b.tif --out run" in text


def test_other_scenes_are_labelled_while_the_network_trains():
    found = way("--maps", "maps", "--map-scenes", "c.tif", "--failed-scenes", "tell")
    assert list(found) == ["label", "train", "label-maps", "infer", "evaluate"]
    assert found["label-maps"].after == []
    assert found["infer"].after == ["train", "label-maps"]
    assert "--model run/model --scenes c.tif --out maps" in " ".join(found["infer"].arguments)
    assert found["evaluate"].arguments == ["--run", "maps"]
    assert "accept" not in found["infer"].arguments


def test_a_job_waits_for_those_that_it_needs():
    found = way("--maps", "maps", "--map-scenes", "c.tif")
    command = sbatch(found["infer"], {"train": "7", "label-maps": "8"}, ["--account=ice"])
    assert command[:6] == [
        *("sbatch", "--parsable", "--job-name=infer", "--dependency=afterok:7:8"),
        *("--kill-on-invalid-dep=yes", "--account=ice"),
    ]
    assert not [word for word in sbatch(found["label"], {}, []) if "depend" in word]


def test_map_scenes_need_a_run_folder(capsys):
    assert main([*ONE, "--map-scenes", "c.tif"]) == 2
    assert "--maps and --map-scenes go together" in capsys.readouterr().err


def test_where_there_is_no_slurm(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(ONE) == 2
    assert "label could not be submitted: there is no sbatch" in capsys.readouterr().err

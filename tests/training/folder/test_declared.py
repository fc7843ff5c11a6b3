"""Networks whose files ask for far more memory than they hold are refused before any of it is taken."""

import io
import json
import resource
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from conftest import ROOT
from model_factory import KINDS, write_model

from labeling.errors import ModelError
from training.folder.card import read_model_card, write_model_card
from training.folder.declared import declared_fault
from training.folder.network import open_network

GIB = 1 << 30


@pytest.fixture(params=[{}, KINDS], ids=["segment", "classify"])
def folder(tmp_path, request):
    return write_model(tmp_path / "model", **request.param)


def change(folder, *, config=None, weights=None, packed=False):
    """Change parts of a network's file in place: `config` gets the decoded one, `weights` the open HDF5."""
    file = folder / "model.keras"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        content = json.loads(parts["config.json"])
        config(content)
        parts["config.json"] = json.dumps(content).encode()
    if weights is not None:
        held = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(held, "a") as opened:
            weights(opened)
        parts["model.weights.h5"] = held.getvalue()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    card = read_card(folder)
    write_model_card(folder, card)
    return folder


def read_card(folder):
    content = json.loads((folder / "model.json").read_text())
    content.pop("network", None)
    (folder / "model.json").write_text(json.dumps(content))
    return read_model_card(folder)


def widen(content):
    """Let a layer have so many filters that its weights take 8 GiB."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "filters":
                content[key] = 8 * GIB // 4 // 27
            elif key != "build_config":
                widen(value)
        content.pop("build_config", None)
    elif isinstance(content, list):
        for value in content:
            widen(value)


def only_first_layer(content):
    """Keep input and first convolution, as wide as 8 GiB of weights."""
    widen(content)
    inner = content["config"]
    inner["layers"] = inner["layers"][:2]
    first = inner["layers"][1]["config"]["name"]
    inner["output_layers"] = [first, 0, 0]


def large_dataset(opened):
    opened.create_dataset("large", (2 * GIB,), np.float32, chunks=(1 << 20,), compression="gzip")


def unwritten_dataset(opened):
    opened.create_dataset("large", (2 * GIB,), np.float32)


def led_out(opened):
    opened["away"] = h5py.ExternalLink("/etc/passwd", "/x")


def stored_elsewhere(opened):
    opened.create_dataset("away", (8,), np.uint8, external=[("/etc/hostname", 0, 8)])


def test_networks_as_they_are_written_ask_for_what_they_hold(folder):
    assert declared_fault(folder / "model.keras") is None
    assert declared_fault(change(folder, packed=True) / "model.keras") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": only_first_layer}, "asks for 8,495.4"),
        ({"weights": large_dataset}, "says that it holds 8,192"),
        ({"weights": unwritten_dataset}, "says that it holds 8,192"),
        ({"weights": led_out}, "takes weights from elsewhere (away)"),
        ({"weights": stored_elsewhere}, "takes weights from elsewhere (away)"),
    ],
)
def test_what_is_declared_is_compared_with_the_file(tmp_path, changes, words):
    folder = change(write_model(tmp_path / "model"), **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError) as caught:
        open_network(folder, read_model_card(folder))
    assert words in str(caught.value)
    assert "Copy the model folder again" in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 << 10  # KiB


def test_a_file_that_unpacks_to_more_is_refused(tmp_path):
    def zeros(opened):
        opened.create_dataset("zeros", data=np.zeros(16 << 20, np.float32))

    folder = change(write_model(tmp_path / "model"), weights=zeros, packed=True)
    with pytest.raises(ModelError, match=r"unpacks to 64\.\d+ MiB, and its file has 0\.\d+ MiB"):
        open_network(folder, read_model_card(folder))


def test_variables_that_were_counted_are_never_made(tmp_path):
    """Keras makes what it still has to make when the next network is built."""
    folder = change(write_model(tmp_path / "model"), config=only_first_layer)
    good = write_model(tmp_path / "good")
    code = (
        "import sys; from pathlib import Path; from training.folder.network import open_network; "
        "from training.folder.card import read_model_card; from labeling.errors import ModelError\n"
        "try: open_network(Path(sys.argv[1]), read_model_card(Path(sys.argv[1])))\n"
        "except ModelError: pass\n"
        "open_network(Path(sys.argv[2]), read_model_card(Path(sys.argv[2])))\n"
        # Not ru_maxrss, in which the process that starts another counts too.
        "[peak] = [line for line in Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in line]\n"
        "print(int(peak.split()[1]) >> 10)"
    )
    command = [sys.executable, "-c", code, folder, good]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1500  # MiB, TensorFlow's own included

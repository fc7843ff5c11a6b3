"""Documents that would keep us waiting, pipes, devices, slow servers; and servers that state nonsense."""

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from slow_server import HEAD, SlowServer

from labeling.errors import SceneError
from labeling.files import fetch as module
from labeling.files.fetch import fetch, probe
from labeling.files.storage import is_waiting, open_regular, read_range


def refused(call, *words):
    began = time.monotonic()
    with pytest.raises(SceneError) as caught:
        call()
    assert time.monotonic() - began < 10
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("head", "pause"), [(HEAD, 0.2), (b"", 0.2), (b"", None)])
def test_a_server_that_keeps_us_waiting_is_given_up(monkeypatch, head, pause):
    monkeypatch.setattr(module, "WHOLE", 1.0)
    told = ("item.json did not arrive within 1 s", "local copy")
    with SlowServer(head, pause) as server:
        refused(lambda: fetch(server.url("item.json"), 1 << 20), *told)
        if not head:  # else the byte that is asked for arrives
            refused(lambda: probe(server.url("item.json")), *told)


def test_the_thread_of_a_document_that_drips_ends(monkeypatch):
    monkeypatch.setattr(module, "WHOLE", 0.5)
    with SlowServer(HEAD, 0.1) as server:
        refused(lambda: fetch(server.url("item.json"), 1 << 20))
        deadline = time.monotonic() + 5
        while any(thread.name == "work with a time limit" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_pipes_and_devices_are_no_files(tmp_path):
    pipe = tmp_path / "item.json"
    os.mkfifo(pipe)
    refused(lambda: fetch(str(pipe), 1 << 20), "it is no file, but a pipe or a device")
    refused(lambda: fetch("/dev/zero", 1 << 20), "it is no file, but a pipe or a device")
    with pytest.raises(OSError, match="a pipe"):
        read_range(pipe, 0, 8)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    assert is_waiting(str(pipe))
    assert is_waiting("/dev/stdin") or os.path.isfile("/dev/stdin")  # noqa: PTH113
    (tmp_path / "file").write_bytes(b"123456")
    assert read_range(tmp_path / "file", 2, 3) == b"345"
    assert not any(map(is_waiting, (str(tmp_path), str(tmp_path / "file"), str(tmp_path / "absent"), "a\0b")))


@pytest.mark.parametrize("length", [b"!186:", b"\xb2", b"9" * 5000, b"-3", b""])
def test_a_length_that_is_no_number_is_as_if_it_were_not_said(length):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\nConnection: close\r\n\r\nbytes"
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/item.json"
        for ask, found in ((lambda: fetch(url, 100).content, b"bytes"), (lambda: probe(url).bytes, 0)):
            asked = pool.submit(_answer, server, answer)
            assert ask() == found
            asked.result()


def _answer(server, content):
    """Answer one request with these bytes."""
    connection, _ = server.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(content)

"""The server at which ranks meet, asked as Horovod's client asks and as strangers do."""

import pickle
import socket
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
from stranger import ASK, as_stranger

from training.launch import rendezvous as module
from training.launch.rendezvous import Rendezvous
from training.launch.store import VALUE_BYTES, Store


@pytest.fixture
def server():
    with Rendezvous(Store()) as found:
        yield found


def ask(server, method, place, body=None, *, secret=None, source=None):
    meeting = server.meeting
    root = f"{meeting.secret if secret is None else secret}:{meeting.port}"
    link = HTTPConnection("127.0.0.1", meeting.port, timeout=10, source_address=source)
    try:
        link.request(method, f"/{root}/{place}", body)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def test_ranks_put_get_and_delete(server):
    assert ask(server, "GET", "global/0") == (404, b"")
    assert ask(server, "PUT", "global/0", b"address \0\xff") == (200, b"")
    assert ask(server, "GET", "global/0") == (200, b"address \0\xff")
    assert ask(server, "PUT", "global/0", b"another") == (409, b"")
    assert ask(server, "DELETE", "global/0") == (200, b"")
    assert ask(server, "GET", "global/0") == (404, b"")


def test_the_secret_is_where_horovods_client_takes_it_along(server):
    told = server.meeting.environment()
    address, port = told["HOROVOD_GLOO_RENDEZVOUS_ADDR"], told["HOROVOD_GLOO_RENDEZVOUS_PORT"]
    # The client puts them together so; tests/parallel shows that it does.
    host, _, path = f"{address}:{port}/global/0".partition("/")
    assert host == f"127.0.0.1:{server.meeting.port}"
    assert path == f"{server.meeting.secret}:{server.meeting.port}/global/0"
    assert len(server.meeting.secret) >= 43  # 256 bits


def test_without_the_secret_nothing_is_there_and_nothing_changes(server):
    ask(server, "PUT", "global/0", b"address")
    for secret in ("", "guess", server.meeting.secret[:-1], server.meeting.secret + "x"):
        for method in ("GET", "DELETE"):
            assert ask(server, method, "global/0", secret=secret) == (404, b"")
        for key in "01":
            with suppress(ConnectionError):  # the body is not read, which may cut off the answer
                assert ask(server, "PUT", f"global/{key}", b"forged", secret=secret) == (404, b"")
    assert ask(server, "GET", "global/0") == (200, b"address")
    assert ask(server, "GET", "global/1") == (404, b"")


def test_another_user_gets_nothing_changes_nothing_and_runs_nothing(server, tmp_path):
    ask(server, "PUT", "global/0", b"address")
    proof = tmp_path / "run"

    class Harm:
        def __reduce__(self):
            return Path.touch, (proof,)

    code = ASK + (
        "body = bytes.fromhex(sys.argv[2])\n"
        "for scope in ('global', 'worker_addresses', 'rank_and_size'):\n"
        "    for path in (f'/{scope}/0', f'/x:{sys.argv[1]}/{scope}/0', f'//{scope}/0', '/', f'/{scope}'):\n"
        "        for method in ('PUT', 'GET', 'DELETE', 'POST', 'HEAD'):\n"
        "            print(*ask(sys.argv[1], method, path, body if method == 'PUT' else None))\n"
    )
    said = as_stranger(code, server.meeting.port, pickle.dumps(Harm()).hex()).splitlines()
    assert len(said) == 75
    # What has a body may be hung up on before the answer is read: nobody reads the body.
    gone = {"ConnectionResetError", "BrokenPipeError", "RemoteDisconnected"}
    assert {"404", "501"} <= {line.split()[0] for line in said} <= {"404", "501"} | gone
    assert not any("address" in line for line in said)
    assert not proof.exists()
    assert ask(server, "GET", "global/0") == (200, b"address")
    # Nor does a rank's own pickle run: values are bytes.
    assert ask(server, "PUT", "worker_addresses/0", pickle.dumps(Harm())) == (200, b"")
    assert not proof.exists()


def test_it_listens_on_one_address_and_hears_the_jobs_hosts_only(server):
    listening = [
        link.laddr
        for link in psutil.Process().net_connections("tcp")
        if link.status == psutil.CONN_LISTEN and link.laddr.port == server.meeting.port
    ]
    assert [place.ip for place in listening] == ["127.0.0.1"]
    with pytest.raises(OSError, match=r"reset|closed"):  # hung up on, though it knows the secret
        ask(server, "GET", "global/0", source=("127.0.0.2", 0))
    with Rendezvous(Store(), hosts=["127.0.0.2"]) as more:
        assert ask(more, "GET", "global/0", source=("127.0.0.2", 0)) == (404, b"")


@pytest.mark.parametrize("size", [str(VALUE_BYTES + 1), "9" * 30, "-1", "many", "²"])
def test_what_is_too_large_or_of_no_size_is_refused_before_it_is_read(server, size):
    meeting = server.meeting
    with socket.create_connection((meeting.address, meeting.port), timeout=10) as link:
        head = f"PUT /{meeting.secret}:{meeting.port}/global/0 HTTP/1.1\r\nContent-Length: {size}\r\n\r\n"
        link.sendall(head.encode())
        assert link.recv(100).startswith(b"HTTP/1.0 413 ")
    assert ask(server, "GET", "global/0") == (404, b"")


def test_a_client_that_falls_silent_or_goes_leaves_nothing(server, monkeypatch):
    monkeypatch.setattr(module._Handler, "timeout", 0.2)
    meeting = server.meeting
    head = f"PUT /{meeting.secret}:{meeting.port}/global/0 HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"
    for goes in (False, True):
        with socket.create_connection((meeting.address, meeting.port), timeout=10) as link:
            link.sendall(head.encode())
            if goes:
                link.shutdown(socket.SHUT_WR)
            assert link.recv(100) == b""
    assert ask(server, "GET", "global/0") == (404, b"")


def test_nothing_listens_any_more_after_the_block():
    with Rendezvous(Store()) as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        ask(server, "GET", "global/0")

"""A rank hears from our launcher that others came or went."""

from collections import Counter
from threading import Event

import pytest

from training.launch.elastic import NEWS
from training.launch.rendezvous import Rendezvous
from training.launch.store import Store
from training.ranks import news as module
from training.ranks.news import News


class Listener:
    def __init__(self):
        self.heard = Event()

    def on_hosts_updated(self, timestamp, result):
        self.heard.set()


@pytest.fixture
def told(monkeypatch):
    """Be rank 0 of a launcher, whose news the returned counter has."""
    found, store = Counter(), Store()
    store.answer(NEWS, lambda key: str(found[key]).encode())
    monkeypatch.setattr(module, "ASK_S", 0.05)
    with Rendezvous(store) as server:
        place = {"HOROVOD_HOSTNAME": "rank-0", "HOROVOD_LOCAL_RANK": "0", "http_proxy": "http://127.0.0.1:1"}
        for name, text in (server.meeting.environment() | place).items():
            monkeypatch.setenv(name, text)
        yield found


def test_what_was_before_is_no_news_and_what_comes_is_told_once(told):
    told["rank-0:0"] = 3
    news, listener = News(), Listener()
    news.init()
    news.init()
    news.register_listener(listener)
    assert not listener.heard.wait(0.3)
    told["rank-1:0"] += 1  # another's
    assert not listener.heard.wait(0.3)
    told["rank-0:0"] += 1
    assert listener.heard.wait(20)
    listener.heard.clear()
    assert not listener.heard.wait(0.3)
    news.remove_listener(listener)
    told["rank-0:0"] += 1
    assert not listener.heard.wait(0.3)


def test_it_goes_on_to_ask_where_it_began_when_the_environment_changes(told, monkeypatch):
    news, listener = News(), Listener()
    news.init()
    news.register_listener(listener)
    for name in ("HOROVOD_HOSTNAME", "HOROVOD_LOCAL_RANK", "HOROVOD_GLOO_RENDEZVOUS_PORT"):
        monkeypatch.delenv(name)
    told["rank-0:0"] += 1
    assert listener.heard.wait(20)

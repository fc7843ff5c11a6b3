"""Ranks that horovodrun lets anybody talk to are refused."""

import pytest

from labeling.errors import ConfigError
from training.launch.environment import places, rank_environment
from training.launch.rendezvous import Meeting
from training.ranks.launched import launched_here, refuse_strangers

OURS = rank_environment(places({"localhost": 1})[0], Meeting("127.0.0.1", 1, "secret", "lo"), {})
HOROVODRUNS = {"HOROVOD_RANK": "0", "HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1"}
ELASTIC = {"HOROVOD_ELASTIC": "1"}


def test_our_ranks_are_known_by_the_address_they_meet_at():
    assert launched_here(OURS)
    assert not launched_here(HOROVODRUNS)
    assert not launched_here({})


@pytest.mark.parametrize("variables", [{}, HOROVODRUNS, OURS, OURS | ELASTIC])
def test_one_process_plain_ranks_and_our_elastic_ones_may_train(variables):
    refuse_strangers(trust_network=False, variables=variables)


def test_horovodruns_elastic_ranks_may_where_the_network_is_trusted():
    with pytest.raises(ConfigError, match=r"--ranks N --min-ranks M.*--trust-network"):
        refuse_strangers(trust_network=False, variables=HOROVODRUNS | ELASTIC)
    refuse_strangers(trust_network=True, variables=HOROVODRUNS | ELASTIC)

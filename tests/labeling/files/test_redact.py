"""Masking: no credential survives, whatever stands around it, and ordinary messages stay as they are."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labeling.files.redact import names_secret, without_secrets

LETTERS = string.ascii_letters + string.digits

# Words and marks that stand beside a secret; a colon or a slash right before it would be another text.
AROUND = st.lists(
    st.sampled_from(["scene", "T05CMT", "200", "é", "(", "[", "'", '"', "{", ",", "\n"]), max_size=4
)
PASSWORDS = st.text(LETTERS + "!$%*+-./:;=?@_~", min_size=6, max_size=60)
TOKENS = st.text(LETTERS + "_-", min_size=20, max_size=80)
KEY_IDS = st.from_regex(r"\A(AKIA|ASIA)[A-Z0-9]{16}\Z")
SECRET_KEYS = st.text(LETTERS + "+/", min_size=40, max_size=40).filter(
    lambda text: (
        text.count("/") < 4
        and any(c.isupper() for c in text)
        and any(c.islower() for c in text)
        and any(c.isdigit() for c in text)
    )
)
SESSIONS = st.builds("{}{}".format, st.sampled_from(["FwoGZXIvYXdz", "IQoJb3JpZ2lu"]), TOKENS)
WEB_TOKENS = st.builds("eyJ{}.eyJ{}.{}".format, TOKENS, TOKENS, TOKENS)
NAMES = st.sampled_from(
    [
        *("password=", "PASSWORD: ", "aws_secret_access_key = ", '"token": ', "X-Amz-Security-Token="),
        *("Authorization: Bearer ", "authorization: Basic ", "sig=", "X-Amz-Signature%3D", "AccountKey="),
        *("--password ", "--cdse-token  "),
    ]
)


def spread(around, secret):
    return " ".join([*around, secret, *reversed(around)])


@given(AROUND, st.one_of(KEY_IDS, SECRET_KEYS, SESSIONS, WEB_TOKENS))
def test_keys_and_tokens_are_known_by_their_form(around, secret):
    assert secret not in without_secrets(spread(around, secret))


@given(AROUND, st.sampled_from("([{'\"<,"), KEY_IDS, SECRET_KEYS)
def test_marks_right_beside_a_key_do_not_hide_it(around, mark, key, secret):
    told = without_secrets(spread(around, f"{mark}{key}{mark} {mark}{secret}{mark}"))
    assert key not in told
    assert secret not in told


@given(
    AROUND, st.text(LETTERS, min_size=1, max_size=20), PASSWORDS, st.sampled_from(["https://", "s3://", ""])
)
@example([], "0", "0000@?", "https://")
@example([], "0", "0000?0=", "https://")
def test_passwords_in_addresses(around, user, password, scheme):
    told = without_secrets(spread(around, f"{scheme}{user}:{password}@host.example/scene.tif"))
    assert password not in told
    assert "@host.example/scene.tif" in told or re.search(r"\?[\w-]+=", password)


@given(AROUND, TOKENS)
def test_a_token_in_an_addresss_place_for_the_user(around, token):
    assert token not in without_secrets(spread(around, f"https://{token}@host/scene.tif"))


@given(
    AROUND, PASSWORDS, st.sampled_from(["https://host/b/scene.tif", "/vsicurl/https://host:443/scene.tif"])
)
@example([], "@00000", "/vsicurl/https://host:443/scene.tif")
def test_queries_of_addresses(around, value, address):
    told = without_secrets(spread(around, f"{address}?X-Amz-Date=1&X-Amz-Signature={value}&x={value}"))
    assert value not in told
    assert "scene.tif?***" in told or "@" in value


def test_a_query_behind_a_port_goes_whole_though_it_looks_like_a_password():
    told = without_secrets("/vsicurl/https://host:443/scene.tif?X-Amz-Signature=abc@rest cannot be opened")
    assert told == "/vsicurl/https://*** cannot be opened"


@given(AROUND, NAMES, PASSWORDS)
def test_values_named_like_secrets(around, name, value):
    told = without_secrets(spread(around, f"{name}{value}"))
    assert value not in told
    assert name in told


@given(PASSWORDS.filter(lambda text: "'" not in text), st.sampled_from("'\""))
def test_quoted_values_may_hold_spaces_and_what_follows_stays(value, quote):
    told = without_secrets(f"{{{quote}password{quote}: {quote}{value} {value}{quote}, 'scene': 7}}")
    assert value not in told
    assert told.endswith(", 'scene': 7}")


@given(st.text(string.ascii_lowercase, min_size=8, max_size=30), AROUND)
def test_secrets_of_the_environment_are_known_by_themselves(secret, around):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CDSE_PASSWORD", secret)
        patched.setenv("AWS_ACCESS_KEY_ID", f"{secret}-and-more")
        told = without_secrets(spread(around, f"x{secret}y {secret}-and-more"))
    assert secret not in told
    assert "and-more" not in told


def test_short_values_of_the_environment_are_words_like_others(monkeypatch):
    monkeypatch.setenv("USE_TOKEN", "true")
    assert without_secrets("it is true") == "it is true"


@pytest.mark.parametrize(
    "text",
    [
        "no scenes in /data/scenes: looked for existing files, and in folders for .tif, .png",
        "/data/S2B_MSIL1C_20211118T201849_N0301_R042_T05CMT_20211118T213045.SAFE: 2 colour bands",
        "cannot open s3://bucket/tiles/5/C/MT/2021/11/18/0/B02.jp2: does not exist",
        "model e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 is another",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "sigma: 0.5, keys: 3, 12:30:05, window 512 is not a multiple of 32 pixels",
        "http://127.0.0.1:4040/jobs/ is the page of spark://host:7077",
        "ValueError: could not broadcast input array from shape (3,620,700) into shape (3,620,64)",
        "scene@2x.png, mail polar@example.org",
        "/srv/Archive/Antarctica/RossSea/2021/S2/tiles/05/CMT/B02",
    ],
)
def test_ordinary_messages_stay_as_they_are(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(("password", True), ("aws_secret_access_key", True), ("apiKey", True), ("sig", True)),
        *(("scene", False), ("sigma", False), ("pixels", False), ("key", False), ("seconds", False)),
    ],
)
def test_names_of_secrets(name, secret):
    assert names_secret(name) is secret

"""Credentials never appear in what people keep: one function that masks them in any text.

For logs, lock files, messages and failures.jsonl. It would rather mask too much than too little: a masked
path costs a look elsewhere, a leaked key costs the account. What it knows:

  https://user:password@host, user:password@host     everything before the @
  https://host/scene.tif?X-Amz-Signature=…           the query of any URL; signed ones are all alike
  AKIA…, ASIA…, session tokens, JSON web tokens      by how they begin
  AWS secret keys                                    40 characters of their alphabet: upper, lower, digits
  password=…, "token": …, --api-key …, Bearer …      the value of whatever is named like a secret
  $AWS_SECRET_ACCESS_KEY, $CDSE_PASSWORD, …          the value itself, wherever it turns up
"""

from __future__ import annotations

import os
import re
from typing import Final

MASK: Final = "***"
"""What stands in a secret's place."""

_NAME: Final = (
    r"(?:secret|passw(?:or)?d|passphrase|token|credential|signature|authorization|(?<![a-z0-9])sig(?![a-z])|"
    r"(?:api|access|account|private)[_-]?key)"
)
_QUOTED: Final = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""

# Repetitions are bounded or begin at a word, so that a long text costs no more than its length.
_RULES: Final = tuple(
    (re.compile(pattern, re.ASCII), replacement)
    for pattern, replacement in (
        # What follows host:port?name= is a query or still a password. With an @ in it, all of it goes.
        (r"(?<=://)[^\s/?#:]{0,256}:[^\s?]{1,1024}\?[\w-]{1,64}=\S{0,2048}@\S*", MASK),
        # A password may hold : / ? and @, so all up to the last @ goes.
        (r"(?<=://)(?:[^\s/?#:]{0,256}:\S{1,1024}|[^\s/?#]{1,1024})@", f"{MASK}@"),
        (r"(://[^\s?#]{1,2048})\?\S+", rf"\1?{MASK}"),
        (
            rf"(?i)({_NAME}[\w-]{{0,40}}[\"']?\s*(?:[:=]|%3D)\s*(?:(?:bearer|basic|token|aws)\s+)?)"
            rf"(?:{_QUOTED}|\S+)",
            rf"\1{MASK}",
        ),
        (rf"(?i)(--[\w-]{{0,40}}{_NAME}[\w-]{{0,40}}\s+)(?:{_QUOTED}|\S+)", rf"\1{MASK}"),
        (r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}", rf"\1{MASK}"),
        (r"(?<![^\s\"'=(\[{<,])[^\s:/@\"'=(\[{<,]{1,128}:(?!//)\S{1,1024}@(?=[\w\[])", f"{MASK}@"),
        (r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}", MASK),
        (r"(?:FwoGZXIvYXdz|FQoGZXIvYXdz|IQoJb3JpZ2lu)[\w/+=%-]{16,}", MASK),
        (r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*)?", MASK),
        # Four slashes in forty characters are a path; a hash in hexadecimal has no capitals.
        (
            r"(?<![\w/+])(?=[^A-Z]{0,39}[A-Z])(?=[^a-z]{0,39}[a-z])(?=[^0-9]{0,39}[0-9])"
            r"(?!(?:[A-Za-z0-9+]*/){4})[A-Za-z0-9/+]{40}(?![\w/+])",
            MASK,
        ),
    )
)
_SECRET_NAME: Final = re.compile(_NAME, re.IGNORECASE)
_SECRET_VARIABLE: Final = re.compile(
    r"(?i)(?:secret|password|passwd|token|(?:api|access|secret)_?key(?:_id)?)$"
)
_SHORTEST: Final = 8
"""Characters of a variable's value from which on it is looked for: `true` must not vanish from every text."""


def without_secrets(text: str) -> str:
    """Return `text` with everything that looks like a credential replaced by `***`."""
    for secret in _secrets_of_environment():
        text = text.replace(secret, MASK)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def names_secret(name: str) -> bool:
    """Tell whether a field's name says that its value is a secret."""
    return _SECRET_NAME.search(name) is not None


def _secrets_of_environment() -> list[str]:
    """Return values of environment variables that hold secrets, the longest first: one may hold another."""
    values = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}
    return sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True)

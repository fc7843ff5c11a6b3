"""XML of products: parsed without document types and entities, elements found by local name.

Every baseline brought its own namespaces, so names are compared without them.
"""

from __future__ import annotations

from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from labeling.errors import SceneError

DEEPEST: Final = 64
"""Elements inside each other; products have a dozen. Who looks for elements goes through all below each."""


class _TooDeepError(ValueError):
    pass


class _Shallow(TreeBuilder):
    """Builds a tree that is not too deep."""

    _depth = 0

    def start(self, tag: str, attrs: dict[Any, Any], /) -> Element:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _TooDeepError(f"more than {DEEPEST} elements lie inside each other")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse(content: bytes, name: str) -> Element:
    """Return the root of an XML file; `name` is what messages call it.

    Raises SceneError for XML that is damaged, nested without need, or carries a document type or entities.
    """
    parser = XMLParser(target=_Shallow(), forbid_dtd=True)
    try:
        parser.feed(content)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise SceneError(
            f"{name} carries a document type or entities ({type(error).__name__}), which no Sentinel-2 "
            "product does. Do not use this copy: fetch the product from its source."
        ) from None
    except _TooDeepError as error:
        raise unusable(name, str(error)) from None
    except (ParseError, ValueError, LookupError) as error:
        raise unusable(name, f"it is not well-formed XML ({error})") from None
    return root


def unusable(name: str, problem: str) -> SceneError:
    """Return the error for a file whose content cannot be used."""
    return SceneError(f"{name} cannot be used: {problem}. Fetch the product again.")


def local(tag: object) -> str:
    """Return a name without its namespace; comments and instructions have none."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""

"""XML of products: parsed without document types and entities, elements found by local name.

Every baseline brought its own namespaces, so names are compared without them.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from labeling.errors import SceneError


def parse(content: bytes, name: str) -> Element:
    """Return the root of an XML file; `name` is what messages call it.

    Raises SceneError for XML that is damaged or carries a document type or entities.
    """
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise SceneError(
            f"{name} carries a document type or entities ({type(error).__name__}), which no Sentinel-2 "
            "product does. Do not use this copy: fetch the product from its source."
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise unusable(name, f"it is not well-formed XML ({error})") from None
    return root


def unusable(name: str, problem: str) -> SceneError:
    """Return the error for a file whose content cannot be used."""
    return SceneError(f"{name} cannot be used: {problem}. Fetch the product again.")


def local(tag: object) -> str:
    """Return a name without its namespace; comments and instructions have none."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""

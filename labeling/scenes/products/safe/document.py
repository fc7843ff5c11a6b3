"""An XML file of a product, asked for what it says; whatever is missing or cannot be is a SceneError."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf, isfinite, nan
from xml.etree.ElementTree import Element

from labeling.bands import ProductType
from labeling.errors import SceneError
from labeling.scenes.products.safe.xml import local, parse, unusable


class Document:
    """An XML file and what to call it in messages."""

    def __init__(self, content: bytes, name: str) -> None:
        self._name = name
        self._root = parse(content, name)

    def error(self, problem: str) -> SceneError:
        """Return the error that names the file and a problem with it."""
        return unusable(self._name, problem)

    def all(self, name: str | None = None, inside: Element | None = None) -> Iterator[Element]:
        """Yield the elements of that local name, in the order of the file; all of them without a name."""
        root = self._root if inside is None else inside
        return (element for element in root.iter() if name is None or local(element.tag) == name)

    def one(self, *names: str, inside: Element | None = None, **attributes: str) -> Element:
        """Return the first element that has the first of `names` and all of `attributes`."""
        for name in names:
            for element in self.all(name, inside):
                if attributes.items() <= element.attrib.items():
                    return element
        wanted = " or ".join(names) + "".join(f' {key}="{value}"' for key, value in attributes.items())
        raise self.error(f"the element {wanted} is missing")

    def text(self, *names: str, inside: Element | None = None) -> str:
        """Return the text of the first element that `one` finds; an empty one is an error."""
        element = self.one(*names, inside=inside)
        text = (element.text or "").strip()
        if not text:
            raise self.error(f"the element {local(element.tag)} is empty")
        return text

    def attribute(self, name: str, key: str) -> str:
        """Return an attribute of an element."""
        value = self.one(name).get(key, "")
        if not value:
            raise self.error(f"the element {name} has no {key}")
        return value

    def value(self, element: Element, within: tuple[float, float]) -> float:
        """Return an element's number, which lies within two bounds."""
        try:
            number = float(element.text or "")
        except ValueError:
            number = nan
        if not isfinite(number):
            raise self.error(f"{local(element.tag)} is '{element.text}', not a number")
        low, high = within
        if not low <= number <= high:
            raise self.error(f"{local(element.tag)} is {number:g}; it lies in {low:g} to {high:g}")
        return number

    def number(
        self, *names: str, inside: Element | None = None, within: tuple[float, float] = (-inf, inf)
    ) -> float:
        """Return the number of the first element that `one` finds."""
        return self.value(self.one(*names, inside=inside), within)

    def known(self, name: str, inside: Element, within: tuple[float, float]) -> float | None:
        """Return a number; None where the element is missing or says NaN, as some processors write."""
        elements = list(self.all(name, inside))
        text = (elements[0].text or "").strip() if elements else ""
        return self.value(elements[0], within) if text and text.lower() != "nan" else None

    def time(self, name: str) -> datetime:
        """Return a time, UTC."""
        text = self.text(name)
        try:
            time = datetime.fromisoformat(text)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.error(f"{name} is '{text}', not a time") from None

    def match(self, pattern: str, *names: str) -> str:
        """Return the first group of a pattern that an element's whole text has."""
        text = self.text(*names)
        found = re.fullmatch(pattern, text)
        if found is None:
            raise self.error(f"{names[0]} '{text}' does not look like one")
        return found.group(1)

    def choice(self, name: str, values: dict[str, ProductType]) -> ProductType:
        """Return what stands for an element's text."""
        text = self.text(name)
        if text not in values:
            raise self.error(f"{name} is '{text}', not one of {', '.join(values)}")
        return values[text]

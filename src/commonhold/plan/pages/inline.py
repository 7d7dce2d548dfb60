"""A drawing as part of a page: no styles, no names that another drawing has, colours that follow the page. *Pure.*

A page without scripts whose styles are all its own (Content-Security-Policy) shows no `style="…"`; every property
that drawings use is also an attribute (SVG 2, 6.6).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, tostring

from defusedxml.ElementTree import fromstring

from commonhold.names import visible

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
INK = "#010203"  # drawn so, it has the colour of the page's text
REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inlined(drawing: bytes, name: str, title: str, description: str) -> str:
    """The SVG document as an element; `name` begins the ids in it."""
    root = fromstring(drawing)
    for parent in root.iter():
        for child in [each for each in parent if each.tag in {f"{SVG}metadata", f"{SVG}style"}]:
            parent.remove(child)
    linked = set(_links(root))
    for element in root.iter():
        _restyle(element)
        _rename(element, name, linked)
        element.tag = element.tag.removeprefix(SVG)
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "stroke-linejoin": "round"})
    for tag, text in (("desc", description), ("title", title)):
        named = Element(tag)
        named.text = visible(text)
        root.insert(0, named)
    return re.sub(r"\s*\n\s*", " ", tostring(root, encoding="unicode"))


def _restyle(element: Element) -> None:
    """Style to attributes; a font's family is the page's."""
    for said in element.attrib.pop("style", "").split(";"):
        key, _, value = said.partition(":")
        if key.strip() and key.strip() != "font-family":
            element.set(key.strip(), value.strip())
    for key, value in element.attrib.items():
        if value == INK:
            element.set(key, "currentColor")
    if element.tag == f"{SVG}text" and "fill" not in element.attrib:
        element.set("fill", "currentColor")


def _links(root: Element) -> Iterator[str]:
    for element in root.iter():
        yield element.get(LINK, "").removeprefix("#")
        for value in element.attrib.values():
            yield from REFERENCE.findall(value)


def _rename(element: Element, name: str, linked: set[str]) -> None:
    if (own := element.attrib.pop("id", "")) in linked and own:
        element.set("id", f"{name}-{own}")
    if there := element.attrib.pop(LINK, ""):
        element.set("href", f"#{name}-{there.removeprefix('#')}")
    for key, value in element.attrib.items():
        element.set(key, REFERENCE.sub(rf"url(#{name}-\1)", value))

"""The resources of a FHIR file, and what their references mean: the form alone, no meaning."""

import json
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from node.errors import PermanentError

Resource = Mapping[str, Any]


def resources_of(text: str) -> Iterator[Resource]:
    """Give the resources of a file, those of a Bundle one by one.

    Raises
    ------
    PermanentError
        If the file is no JSON, or is JSON that holds something else.
    """
    try:
        parts: list[object] = [json.loads(text)]
    except ValueError:
        parts = list(_lines(text))
    except RecursionError:
        raise PermanentError(
            reason="Expected FHIR resources, found JSON nested too deeply"
        ) from None
    for part in parts:
        if not isinstance(part, dict):
            raise PermanentError(reason="Expected FHIR resources, found JSON that is none")
        if part.get("resourceType") != "Bundle":
            yield part
            continue
        for entry in parts_of(part, "entry"):
            resource = entry.get("resource")
            if isinstance(resource, dict):
                yield {"fullUrl": entry.get("fullUrl"), **resource}


def _lines(text: str) -> Iterator[object]:
    # Not `splitlines`: a text in JSON may hold what that takes for the end of a line.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                raise PermanentError(
                    reason=f"Expected JSON, or one JSON object a line; line {number} is none"
                ) from None


class References:
    """What references of a file can mean; one that could mean two resources means none.

    Parameters
    ----------
    resources
        All of the file.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._by_reference = _of_one_meaning(
            (name, resource) for resource in resources for name in _names_of(resource)
        )

    def of(self, report: Resource) -> Mapping[str, Resource]:
        """Give those that a report can refer to: its contained ones before those of the file."""
        contained = _of_one_meaning(
            (f"#{part.get('id')}", part) for part in parts_of(report, "contained")
        )
        return ChainMap(contained, self._by_reference)


def _names_of(resource: Resource) -> Iterator[str]:
    """Give the references that mean a resource."""
    if isinstance(resource.get("id"), str):
        yield f"{resource.get('resourceType')}/{resource['id']}"
    if isinstance(resource.get("fullUrl"), str):
        yield resource["fullUrl"]


def _of_one_meaning(named: Iterable[tuple[str, Resource]]) -> dict[str, Resource]:
    """Give resources by reference, without a reference that stands for two different ones."""
    found: dict[str, Resource] = {}
    of_several: set[str] = set()
    for name, resource in named:
        known = found.setdefault(name, resource)
        if _without_url(known) != _without_url(resource):
            of_several.add(name)
    return {name: resource for name, resource in found.items() if name not in of_several}


def _without_url(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "fullUrl"}


def parts_of(resource: Resource, name: str) -> list[Resource]:
    """Give an element that may be repeated; what is no object is left out."""
    value = resource.get(name)
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def part_of(resource: Resource, name: str) -> list[Resource]:
    """Give an element that may not be repeated, as a list of one, or of none."""
    value = resource.get(name)
    return [value] if isinstance(value, dict) else []

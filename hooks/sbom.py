"""Writes the bundle's bill of materials, in CycloneDX.

It lists the packages that the bundle's files come from, with versions, licences and dependencies
among them; below each, its native libraries with the hashes of their files in the bundle.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILE: Final = "sbom.cdx.json"
"""The name of the file beside the program."""

Entry = tuple[str, str, str]
"""A collected file, as PyInstaller describes it: path in the bundle, source path, kind."""

_NATIVE: Final = ("BINARY", "EXTENSION")
_ROOT: Final = Path(__file__).resolve().parent.parent
_STDLIB: Final = Path(os.__file__).resolve().parent
_PROGRAM: Final = "transcription-worker"
_PYTHON: Final = "CPython"
_SYSTEM: Final = "libraries of the building system"
_LONGEST_LICENCE: Final = 200  # longer values are a licence's text, not its name


def bill_of_materials(entries: Iterable[Entry], contents: Path, version: str) -> str:
    """Return the bill as JSON; the entries' paths are relative to the bundle's folder `contents`.

    Its time is SOURCE_DATE_EPOCH if set, so that identical builds have identical bills.
    """
    libraries: defaultdict[str, set[str]] = defaultdict(set)
    owners = _owners()
    for place, source, kind in entries:
        # PyInstaller compiles modules in its own folder, so identify them by their bundle path.
        module = place.replace(os.sep, "/").removesuffix("c")
        compiled = place.endswith(".pyc")
        owner = owners.get(module if compiled else os.path.normpath(source))
        owner = owner or _without_package(_STDLIB / module if compiled else Path(source))
        libraries[owner] |= {place} if kind in _NATIVE else set()

    program = Component(
        name=_PROGRAM,
        version=version,
        type=ComponentType.APPLICATION,
        licenses=[LicenseFactory().make_from_string("MIT")],
        bom_ref=_PROGRAM,
    )
    components = {
        name: _component(name, _files(libraries[name], contents))
        for name in sorted(libraries.keys() - {_PROGRAM})
    }
    at = int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.now(tz=UTC).timestamp())
    bom = Bom(
        metadata=BomMetaData(component=program, timestamp=datetime.fromtimestamp(at, tz=UTC)),
        components=components.values(),
    )
    bom.register_dependency(program, components.values())
    for name, component in components.items():
        bom.register_dependency(component, [components[each] for each in _needs(name, components)])
    told = "".join(f"{each.name} {each.version}\n" for each in components.values())
    bom.serial_number = uuid5(NAMESPACE_URL, f"{_PROGRAM} {version}\n{told}")
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def strays(bill: str, program: str = _PROGRAM) -> list[str]:
    """The packages of a bill that nothing requires: not `program`, and not what it requires.

    An import that never runs, or whose failure is handled, brings them into the bundle.
    """
    dependencies = {
        each["ref"]: each.get("dependsOn", ()) for each in json.loads(bill)["dependencies"]
    }
    known = dependencies.keys() - {_PROGRAM, _PYTHON, _SYSTEM, "pyinstaller"}
    requirements = map(Requirement, metadata.requires(program) or ())
    required: set[str] = {canonicalize_name(each.name) for each in requirements}
    open_ = required & known
    while open_:
        required |= open_
        open_ = {needed for name in open_ for needed in dependencies[name]} - required
    return sorted(known - required)


def _owners() -> dict[str, str]:
    """Map each installed file, by absolute path and by path in site-packages, to its package."""
    owners = {}
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.name)
        for each in distribution.files or ():
            owners[each.as_posix()] = owners[os.path.normpath(each.locate())] = name
    return owners


def _without_package(source: Path) -> str:
    path = source.resolve()
    python = path.is_relative_to(_STDLIB) and path.exists()
    if python or path.name.startswith(("libpython", "python3")):
        return _PYTHON
    return _SYSTEM if path.suffix != ".py" and not path.is_relative_to(_ROOT) else _PROGRAM


def _component(name: str, libraries: list[Component]) -> Component:
    if name == _SYSTEM:
        return Component(name=name, version=platform.platform(), components=libraries, bom_ref=name)
    if name == _PYTHON:
        return Component(
            name=name,
            version=platform.python_version(),
            type=ComponentType.PLATFORM,
            licenses=[LicenseFactory().make_from_string("PSF-2.0")],
            components=libraries,
            bom_ref=name,
        )
    distribution = metadata.distribution(name)
    return Component(
        name=distribution.name,
        version=distribution.version,
        description=distribution.metadata.get("Summary"),
        licenses=_licences(distribution.metadata),
        purl=PackageURL("pypi", name=name, version=distribution.version),
        components=libraries,
        bom_ref=name,
    )


def _licences(told: metadata.PackageMetadata) -> Iterator[License]:
    """The package's SPDX expression, or else the licence names in its metadata."""
    factory = LicenseFactory()
    if expression := told.get("License-Expression"):
        yield factory.make_from_string(expression)
        return
    named = str(told.get("License") or "").strip()
    if named and len(named) <= _LONGEST_LICENCE and "\n" not in named:
        yield factory.make_from_string(named)
        return
    for classifier in told.get_all("Classifier") or ():
        if classifier.startswith("License :: "):
            yield factory.make_with_name(classifier.rpartition(" :: ")[2])


def _files(places: Iterable[str], contents: Path) -> list[Component]:
    found = []
    for place in sorted(places):
        with (contents / place).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.append(
            Component(
                name=place.replace(os.sep, "/"),
                type=ComponentType.FILE,
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
                bom_ref=f"file:{place}",
            )
        )
    return found


def _needs(name: str, among: Iterable[str]) -> Iterator[str]:
    """The bundle's packages (`among`) that a package requires on this platform, without extras."""
    try:
        requirements = metadata.requires(name) or ()
    except metadata.PackageNotFoundError:  # Python, or system libraries
        return
    known = set(among)
    for each in map(Requirement, requirements):
        needed = canonicalize_name(each.name)
        if needed in known and (each.marker is None or each.marker.evaluate({"extra": ""})):
            yield needed

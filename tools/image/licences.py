"""``python -m tools.image.licences``: which licence each package has, in ``docs/licences.md``.

What a package itself says counts: its SPDX expression, else its free text, else its classifiers.
"""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "runtime.txt"
PAGE = ROOT / "docs" / "licences.md"
UNKNOWN = "unknown"
# Each lets us hand on the package, unchanged, beside code under Apache-2.0 in one image. MPL-2.0
# asks for the source of its own files where they were changed, and we change none.
ALLOWED = frozenset(
    ("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0")
)
TEXTS = {"Apache 2.0": "Apache-2.0", "MIT License": "MIT"}
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
HEAD = """\
# Licences of what is in the image

vci-webhook is under Apache-2.0. Its image also contains the packages below, each with its licence
in its `*.dist-info` folder, and Python with some libraries from the base, whose notices are in
`/usr/share/doc` when that is Debian's. `make licences` writes this page from the lock. A test
refuses a package whose licence is not on the list in `tools/image/licences.py`.

| package | version | licence |
|---|---|---|
"""


def licence(package: metadata.PackageMetadata) -> str:
    """Name a package's licence as SPDX does."""
    if expressions := package.get_all("License-Expression"):
        return str(expressions[0])
    for text in package.get_all("License") or []:
        if (name := TEXTS.get(text.strip(), text.strip())) in ALLOWED:
            return str(name)
    lines = package.get_all("Classifier") or []
    told = [line.rpartition(" :: ")[2] for line in lines if line.startswith("License :: ")]
    return " AND ".join(sorted(CLASSIFIERS.get(name, UNKNOWN) for name in told)) or UNKNOWN


def is_allowed(expression: str) -> bool:
    """Tell whether we may hand on what has this licence; what is not understood is refused."""
    choices = (choice.split(" AND ") for choice in expression.split(" OR "))
    return any(ALLOWED.issuperset(choice) for choice in choices)


def locked(lock: str) -> dict[str, str]:
    """Read the packages of a lock, with their versions."""
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", lock, re.MULTILINE))


def page() -> str:
    """Write the page, for the packages as they are installed here."""
    rows = [
        f"| {name} | {version} | {licence(metadata.metadata(name))} |\n"
        for name, version in locked(LOCK.read_text("utf-8")).items()
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

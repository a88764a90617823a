"""``python -m tests.fuzz.child TARGET CORPUS [-option=value …]``: fuzz one target right here."""

import sys

import atheris

with atheris.instrument_imports(include=["webhook", "yaml"]):  # what is imported here is measured
    from tests.fuzz.targets import TARGETS

atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()

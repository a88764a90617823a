"""Settings for all tests."""

from hypothesis import settings

# A machine that is busy with something else makes no example wrong.
settings.register_profile("vci-webhook", deadline=None)
settings.load_profile("vci-webhook")

"""``python -m webhook`` is the command ``vci-webhook``."""

import sys

from webhook.cli import main

sys.exit(main())

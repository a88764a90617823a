"""What the Makefile runs: programs for those who work on the repository, no part of the product."""

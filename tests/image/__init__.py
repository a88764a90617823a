"""The image: built from nothing but packages, looked at, and run."""

"""Builds the image: ``make image``, and what the Dockerfile runs in its build stage."""

"""Tests against a real control plane, and the harness that runs one."""

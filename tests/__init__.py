"""The tests; README.md beside this file says what is shown where."""

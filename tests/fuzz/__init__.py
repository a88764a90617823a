"""Coverage-guided fuzzing of what strangers send: the review and the profile's text."""

"""A second, slow and plain implementation of what the webhook does to a Pod.

It shares no code with the webhook; only ``answers`` calls it. The tests compare the two over
generated Pods and profiles.
"""

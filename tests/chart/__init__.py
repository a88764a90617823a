"""The chart, as the real helm renders it: no control plane is needed."""

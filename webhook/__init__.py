"""vci-webhook: places Kubernetes Pods on VCI virtual nodes by the rules of one ConfigMap."""

__version__ = "0.1.0"

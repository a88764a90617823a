module vci-webhook.test/prometheus-operator

go 1.26.0

// Only files of this module are used, and no package: "go mod tidy" would take the requirement away.
require github.com/prometheus-operator/prometheus-operator v0.85.0

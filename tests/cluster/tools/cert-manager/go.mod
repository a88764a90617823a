module vci-webhook.test/cert-manager

go 1.26.0

// Only files of this module are used, and no package: "go mod tidy" would take the requirement away.
require github.com/cert-manager/cert-manager v1.21.2

// Command kube-apiserver is the real Kubernetes API server, built from its own packages with the Go module proxy only.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"

	// What the upstream main registers as well: JSON logs, and the metrics of client-go and of the version.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }

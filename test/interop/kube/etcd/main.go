// Command etcd is the etcd server as its own project builds it, so that the interop suite needs the Go module proxy only.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }

// Load on Purser, OpenBao and SPIRE with one client, so that the client costs each of them the same.
//
// Prints one JSON line: requests a second, percentiles in milliseconds, errors.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Settings is the file that bench/peers.ts writes.
type Settings struct {
	// Address of the HTTP API, or of the gRPC API as gRPC names it.
	Address string `json:"address"`
	// Roots in PEM; empty for plain HTTP.
	Roots string `json:"roots"`
	// Operator is the token of an operator.
	Operator string `json:"operator"`
	// IssuerKey signs the workload's tokens: PEM, PKCS #8, P-256.
	IssuerKey string   `json:"issuerKey"`
	Issuer    string   `json:"issuer"`
	Audience  string   `json:"audience"`
	SpiffeID  string   `json:"spiffeId"`
	Paths     []string `json:"paths"`
}

// job sends the n-th request and reports its failure.
type job func(n int) error

func main() {
	peer := flag.String("peer", "purser", "purser, openbao or spire")
	name := flag.String("job", "x509", "x509, jwt, startup, read or write")
	file := flag.String("settings", "", "the settings as JSON")
	connections := flag.Int("c", 64, "concurrent requests")
	warmUp := flag.Duration("warm-up", 3*time.Second, "time before the measurement")
	duration := flag.Duration("d", 8*time.Second, "time of the measurement")
	flag.Parse()

	var settings Settings
	text, err := os.ReadFile(*file)
	check(err)
	check(json.Unmarshal(text, &settings))

	jobs := map[string]func(*Settings, string) (job, error){"purser": purser, "openbao": openbao, "spire": spire}
	create, ok := jobs[*peer]
	if !ok {
		check(fmt.Errorf("unknown peer %q", *peer))
	}
	work, err := create(&settings, *name)
	check(err)
	run(work, *connections, *warmUp)
	check(json.NewEncoder(os.Stdout).Encode(run(work, *connections, *duration)))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Result of one measurement.
type Result struct {
	Rate   float64 `json:"rate"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
	Errors int     `json:"errors"`
	First  string  `json:"firstError,omitempty"`
}

var sent int
var sentLock sync.Mutex

// next numbers the requests, over warm-up and measurement.
func next() int {
	sentLock.Lock()
	defer sentLock.Unlock()
	sent++
	return sent
}

func run(work job, connections int, duration time.Duration) Result {
	var all []time.Duration
	var result Result
	var lock sync.Mutex
	var group sync.WaitGroup
	began := time.Now()
	end := began.Add(duration)
	for range connections {
		group.Go(func() {
			var times []time.Duration
			for time.Now().Before(end) {
				started := time.Now()
				if err := work(next()); err != nil {
					lock.Lock()
					result.Errors++
					if result.First == "" {
						result.First = err.Error()
					}
					lock.Unlock()
					continue
				}
				times = append(times, time.Since(started))
			}
			lock.Lock()
			all = append(all, times...)
			lock.Unlock()
		})
	}
	group.Wait()
	seconds := time.Since(began).Seconds()
	slices.Sort(all)
	at := func(share float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
	}
	result.Rate, result.P50, result.P99 = float64(len(all))/seconds, at(0.5), at(0.99)
	return result
}

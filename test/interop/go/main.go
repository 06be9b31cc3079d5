// Command checker lets the libraries that other people's verifiers are made of judge what Purser hands out.
//
// `checker SUBCOMMAND` reads one JSON object on stdin and writes one on stdout: what the library read, or
// {"error": "…"} when it refused. Both are verdicts and end with 0; a question that it can't read ends with 2,
// so that a broken test never looks like a refused certificate.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type check func(input []byte) (any, error)

var checks = map[string]check{
	"x509svid":    answer(checkX509SVID),
	"jwtsvid":     answer(checkJWTSVID),
	"bundle":      answer(checkBundle),
	"zlint":       answer(lintPEM),
	"crl":         answer(checkCRL),
	"note":        answer(openNote),
	"inclusion":   answer(checkInclusion),
	"consistency": answer(checkConsistency),
}

// badInput is a fault of the question, not of what is judged.
type badInput struct{ error }

func answer[In, Out any](judge func(In) (Out, error)) check {
	return func(input []byte) (any, error) {
		var question In
		decoder := json.NewDecoder(strings.NewReader(string(input)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&question); err != nil {
			return nil, badInput{err}
		}
		return judge(question)
	}
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "checker:", err)
		os.Exit(2)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 || checks[args[0]] == nil {
		names := make([]string, 0, len(checks))
		for name := range checks {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("usage: checker %s", strings.Join(names, "|"))
	}
	input, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	verdict, err := checks[args[0]](input)
	var bad badInput
	if errors.As(err, &bad) {
		return bad
	}
	if err != nil {
		verdict = map[string]string{"error": err.Error()}
	}
	return json.NewEncoder(stdout).Encode(verdict)
}

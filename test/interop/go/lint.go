package main

import (
	"encoding/pem"
	"errors"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

type lintQuestion struct {
	PEM     string   `json:"pem"`     // one certificate or one CRL
	Sources []string `json:"sources"` // as zlint names them ("RFC5280"); every source when empty
}

type lintFinding struct {
	Lint        string `json:"lint"`
	Severity    string `json:"severity"` // notice, warn, error, fatal
	Source      string `json:"source"`
	Description string `json:"description"`
	Citation    string `json:"citation"`
	Details     string `json:"details"`
}

type lintVerdict struct {
	Applied  int           `json:"applied"` // lints that looked at it and said pass or worse
	Findings []lintFinding `json:"findings"`
}

func lintPEM(q lintQuestion) (lintVerdict, error) {
	verdict := lintVerdict{Findings: []lintFinding{}}
	registry, err := lintRegistry(q.Sources)
	if err != nil {
		return verdict, badInput{err}
	}
	block, rest := pem.Decode([]byte(q.PEM))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return verdict, badInput{errors.New("one PEM block, please")}
	}
	results, err := lintBlock(block, registry)
	if err != nil {
		return verdict, err
	}
	for name, result := range results.Results {
		if result.Status >= lint.Pass {
			verdict.Applied++
		}
		if result.Status > lint.Pass {
			about := result.LintMetadata
			verdict.Findings = append(verdict.Findings, lintFinding{
				Lint: name, Severity: result.Status.String(), Source: string(about.Source),
				Description: about.Description, Citation: about.Citation, Details: result.Details,
			})
		}
	}
	slices.SortFunc(verdict.Findings, func(a, b lintFinding) int { return strings.Compare(a.Lint, b.Lint) })
	return verdict, nil
}

func lintBlock(block *pem.Block, registry lint.Registry) (*zlint.ResultSet, error) {
	switch block.Type {
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return zlint.LintCertificateEx(certificate, registry), nil
	case "X509 CRL":
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		return zlint.LintRevocationListEx(list, registry), nil
	}
	return nil, badInput{errors.New("neither CERTIFICATE nor X509 CRL: " + block.Type)}
}

func lintRegistry(sources []string) (lint.Registry, error) {
	var list lint.SourceList
	if err := list.FromString(strings.Join(sources, ",")); err != nil {
		return nil, err
	}
	return lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: list})
}

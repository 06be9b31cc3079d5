package main

import (
	"errors"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

type noteQuestion struct {
	Note  string   `json:"note"`
	VKeys []string `json:"vkeys"`
}

type noteVerdict struct {
	Text       string   `json:"text"`       // what is signed, final newline included
	Verified   []string `json:"verified"`   // names of the given keys whose signature holds
	Unverified []string `json:"unverified"` // names on signatures by keys that were not given
}

// openNote opens a checkpoint, or any C2SP signed note. It says nothing about the text: that is for the test to read.
func openNote(q noteQuestion) (noteVerdict, error) {
	verdict := noteVerdict{Verified: []string{}, Unverified: []string{}}
	verifiers := make([]note.Verifier, 0, len(q.VKeys))
	for _, vkey := range q.VKeys {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			return verdict, err // a vkey that Purser printed is judged too
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(q.Note), note.VerifierList(verifiers...))
	if err != nil {
		return verdict, err
	}
	verdict.Text = opened.Text
	for _, signature := range opened.Sigs {
		verdict.Verified = append(verdict.Verified, signature.Name)
	}
	for _, signature := range opened.UnverifiedSigs {
		verdict.Unverified = append(verdict.Unverified, signature.Name)
	}
	return verdict, nil
}

type inclusionQuestion struct {
	Index uint64   `json:"index"`
	Size  uint64   `json:"size"`
	Leaf  []byte   `json:"leaf"` // the entry's bytes as they stand in the tree, not yet hashed
	Proof [][]byte `json:"proof"`
	Root  []byte   `json:"root"`
}

type proven struct {
	Proven bool `json:"proven"`
}

func checkInclusion(q inclusionQuestion) (proven, error) {
	if q.Leaf == nil || q.Root == nil {
		return proven{}, badInput{errors.New("leaf and root are needed")}
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(q.Leaf)
	err := proof.VerifyInclusion(rfc6962.DefaultHasher, q.Index, q.Size, leaf, q.Proof, q.Root)
	return proven{err == nil}, err
}

type consistencyQuestion struct {
	Size1 uint64   `json:"size1"`
	Size2 uint64   `json:"size2"`
	Proof [][]byte `json:"proof"`
	Root1 []byte   `json:"root1"`
	Root2 []byte   `json:"root2"`
}

func checkConsistency(q consistencyQuestion) (proven, error) {
	if q.Root1 == nil || q.Root2 == nil {
		return proven{}, badInput{errors.New("both roots are needed")}
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, q.Size1, q.Size2, q.Proof, q.Root1, q.Root2)
	return proven{err == nil}, err
}

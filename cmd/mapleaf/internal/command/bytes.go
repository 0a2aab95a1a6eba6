package command

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/spf13/cobra"
)

// The prefixes that say how an argument for a key or a value is meant.
const (
	hexPrefix  = "hex:"
	textPrefix = "text:"
)

// parseBytes returns the bytes that an argument stands for: with --hex, or
// behind "hex:", hexadecimal digits; else its text, behind "text:" if need be.
func parseBytes(what, arg string, allHex bool) ([]byte, error) {
	digits, isHex := arg, allHex
	if rest, ok := strings.CutPrefix(arg, hexPrefix); ok {
		digits, isHex = rest, true
	} else if rest, ok := strings.CutPrefix(arg, textPrefix); ok {
		return []byte(rest), nil
	}
	if !isHex {
		return []byte(arg), nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, usagef("%s %q is not hexadecimal", what, digits)
	}
	return b, nil
}

// keyRange is a half-open range of keys as flags give it.
type keyRange struct {
	prefix, from, to string
	hex              bool
}

func (r *keyRange) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&r.prefix, "prefix", "", "only keys that begin with `KEY`")
	flags.StringVar(&r.from, "from", "", "only keys from `KEY` on")
	flags.StringVar(&r.to, "to", "", "only keys before `KEY`")
	flags.BoolVar(&r.hex, "hex", false, "keys in arguments and flags are hexadecimal")
}

// given reports whether any bound was set.
func (r *keyRange) given() bool { return r.prefix != "" || r.from != "" || r.to != "" }

// bounds returns the range [lo, hi) of keys that all flags allow; nil stands
// for no bound, and lo >= hi for an empty range.
func (r *keyRange) bounds() (lo, hi []byte, err error) {
	prefix, err := parseBytes("--prefix", r.prefix, r.hex)
	if err != nil {
		return nil, nil, err
	}
	lo, err = parseBytes("--from", r.from, r.hex)
	if err != nil {
		return nil, nil, err
	}
	hi, err = parseBytes("--to", r.to, r.hex)
	if err != nil {
		return nil, nil, err
	}
	if bytes.Compare(prefix, lo) > 0 {
		lo = prefix
	}
	if end := prefixEnd(prefix); end != nil && (len(hi) == 0 || bytes.Compare(end, hi) < 0) {
		hi = end
	}
	if len(lo) == 0 {
		lo = nil
	}
	if len(hi) == 0 {
		hi = nil
	}
	return lo, hi, nil
}

// prefixEnd returns the first key behind all that begin with prefix, nil if
// there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

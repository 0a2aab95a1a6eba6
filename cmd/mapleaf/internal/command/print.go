package command

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/jsontext"
)

// The formats of output.
const (
	formatText = "text"
	formatHex  = "hex"
	formatJSON = "json"
	formatRaw  = "raw"
)

// choice is a flag value out of a few words.
type choice struct {
	value   string
	allowed []string
}

func newChoice(allowed ...string) choice { return choice{allowed[0], allowed} }

// String returns the word chosen.
func (c *choice) String() string { return c.value }

// Set chooses a word.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.allowed, text) {
		return fmt.Errorf("it is one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = text
	return nil
}

// Type names the kind of value in help texts.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// addChoiceFlag adds a flag whose words a shell can complete.
func addChoiceFlag(cmd *cobra.Command, c *choice, name, letter, usage string) {
	cmd.Flags().VarP(c, name, letter, usage)
	words := cobra.FixedCompletions(c.allowed, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(name, words); err != nil {
		panic(err) // a flag that was just added is there
	}
}

// printer writes records, one a line.
type printer struct {
	out      *bufio.Writer
	format   string
	keysOnly bool
	line     []byte
}

// record writes one record; value is nil for a bucket, which is shown by its
// name and a slash, in JSON as {"bucket":"name"}.
func (p *printer) record(key, value []byte) error {
	line := p.line[:0]
	switch p.format {
	case formatJSON:
		line = p.appendJSON(line, key, value)
	case formatHex:
		line = hex.AppendEncode(line, key)
		if value == nil {
			line = append(line, '/')
		} else if !p.keysOnly {
			line = hex.AppendEncode(append(line, '\t'), value)
		}
	default:
		if value == nil {
			line = append(append(line, bucketName(key)...), '/')
		} else if line = appendText(line, key, textLine); !p.keysOnly {
			line = appendText(append(line, '\t'), value, textLine)
		}
	}
	p.line = append(line, '\n')
	_, err := p.out.Write(p.line)
	return err
}

func (p *printer) appendJSON(line, key, value []byte) []byte {
	if value == nil {
		return append(jsontext.AppendBytes(append(line, `{"bucket":`...), key), '}')
	}
	line = jsontext.AppendBytes(append(line, `{"key":`...), key)
	if !p.keysOnly {
		line = jsontext.AppendBytes(append(line, `,"value":`...), value)
	}
	return append(line, '}')
}

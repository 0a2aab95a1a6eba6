// Package unicodedata holds the names of the Unicode characters, as a data
// set for demonstrations. SOURCE.txt beside this file says where they come
// from and under which licence; generate.go made names.gz.
package unicodedata

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:generate go run generate.go /usr/share/unicode/UnicodeData.txt

//go:embed names.gz
var compressed []byte

// Source is the whole of SOURCE.txt: origin, version and licence.
//
//go:embed SOURCE.txt
var Source string

// Origin names the data set and its version in one line.
const Origin = "UnicodeData.txt of Unicode 15.0.0, from Debian's package unicode-data 15.0.0-1"

// Copyright is the line that goes with every copy.
const Copyright = "Copyright © 1991-2022 Unicode, Inc., under the Unicode license"

// A Character is one line of the data.
type Character struct {
	Code     rune
	Name     string // unique
	Category string // the general category, two letters
}

// Load returns all characters in the order of their code points.
func Load() ([]Character, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("unzip the names: %w", err)
	}
	all := make([]Character, 0, 1<<16)
	lines := bufio.NewScanner(unzipped)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), ";")
		if len(parts) != 3 {
			return nil, fmt.Errorf("name %d: bad line %q", len(all)+1, lines.Text())
		}
		code, err := strconv.ParseUint(parts[0], 16, 21)
		if err != nil {
			return nil, fmt.Errorf("name %d: bad code point: %w", len(all)+1, err)
		}
		all = append(all, Character{Code: rune(code), Name: parts[1], Category: parts[2]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the names: %w", err)
	}
	return all, nil
}

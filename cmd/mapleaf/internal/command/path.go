package command

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// bucketPath names a bucket by the names on the way to it. It is a flag value.
//
// Written out, names stand between slashes, and a backslash escapes: "\/" is a
// slash within a name, "\\" a backslash, "\t" a tab, "\n" a line end, "\xHH"
// the byte HH. String and Set are each other's inverse.
type bucketPath [][]byte

// Set parses a written path.
func (p *bucketPath) Set(text string) error {
	var path bucketPath
	name := []byte{}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '/':
			path = append(path, name)
			name = []byte{}
		case '\\':
			b, size, err := unescape(text[i+1:])
			if err != nil {
				return err
			}
			name = append(name, b)
			i += size
		default:
			name = append(name, c)
		}
	}
	path = append(path, name)
	for _, name := range path {
		if len(name) == 0 {
			return errors.New("a bucket name is empty")
		}
	}
	*p = path
	return nil
}

// unescape decodes what follows a backslash, and tells how long it is.
func unescape(text string) (b byte, size int, err error) {
	switch {
	case text == "":
		return 0, 0, errors.New("nothing follows the last backslash")
	case text[0] == '/' || text[0] == '\\':
		return text[0], 1, nil
	case text[0] == 't':
		return '\t', 1, nil
	case text[0] == 'n':
		return '\n', 1, nil
	case text[0] == 'x' && len(text) >= 3:
		if decoded, err := hex.DecodeString(text[1:3]); err == nil {
			return decoded[0], 3, nil
		}
	}
	return 0, 0, fmt.Errorf(`unknown escape "\%.3s": there are \/ \\ \t \n and \x41`, text)
}

// String writes the path as Set reads it.
func (p *bucketPath) String() string {
	names := make([]string, len(*p))
	for i, name := range *p {
		names[i] = bucketName(name)
	}
	return strings.Join(names, "/")
}

// Type names the kind of value in help texts.
func (p *bucketPath) Type() string { return "path" }

// bucketName writes one name as it stands in a path.
func bucketName(name []byte) string {
	return strings.ReplaceAll(string(appendText(nil, name, textName)), "/", `\/`)
}

// textStyle says which bytes appendText escapes besides those that are not
// printable, which would do harm on a terminal.
type textStyle int

const (
	textName  textStyle = iota // tab, line end and backslash: reads back exactly
	textLine                   // tab and line end: stays on its line, in its column
	textLines                  // nothing: has lines of its own
)

// appendText appends b for people to read. What is escaped is written \t, \n,
// \\ or \xHH.
func appendText(dst, b []byte, style textStyle) []byte {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == '\\' && style == textName:
			dst = append(dst, '\\', '\\')
		case r == '\n' && style != textLines:
			dst = append(dst, '\\', 'n')
		case r == '\t' && style != textLines:
			dst = append(dst, '\\', 't')
		case r == '\n', r == '\t', r != utf8.RuneError && unicode.IsPrint(r),
			r == utf8.RuneError && size > 1:
			dst = append(dst, b[:size]...)
		default:
			for _, c := range b[:size] {
				dst = fmt.Appendf(dst, `\x%02x`, c)
			}
		}
		b = b[size:]
	}
	return dst
}

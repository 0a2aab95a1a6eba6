// Package jsontext writes JSON by appending to byte slices, so that a record
// becomes JSON without a reflecting encoder, and with its text as it was: no
// character is escaped that JSON does not ask for.
package jsontext

import (
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. s must be valid UTF-8: ask
// utf8.Valid first, since what is not is replaced by U+FFFD, byte by byte.
func AppendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = appendEscape(append(dst, s[start:i]...), c)
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// AppendBytes appends b as a JSON string if it is valid UTF-8, and else as an
// object with its bytes in hexadecimal: {"hex":"ff00"}. So no byte is lost,
// and the two can be told apart.
func AppendBytes(dst, b []byte) []byte {
	if utf8.Valid(b) {
		return AppendString(dst, b)
	}
	dst = append(dst, `{"hex":"`...)
	for _, c := range b {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, `"}`...)
}

package record

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// lineReader cuts an input into lines of at most limit bytes.
type lineReader struct {
	r     *bufio.Reader
	line  int    // number of the line returned last
	limit int    // bytes in a line, Limit but in tests
	long  []byte // a line that did not fit into the buffer of r
}

func newLineReader(input io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(input, 1<<18), limit: Limit}
}

// next returns a line without its end (LF or CR LF), valid until the next
// call. Behind the last line it returns io.EOF; a line that is too long is
// read over and reported as a *LineError.
func (l *lineReader) next() ([]byte, error) {
	part, err := l.r.ReadSlice('\n')
	if err == nil {
		return l.finish(part)
	}
	l.long = l.long[:0]
	total := 0
	for ; err == bufio.ErrBufferFull; part, err = l.r.ReadSlice('\n') {
		total += len(part)
		if total <= l.limit {
			l.long = append(l.long, part...)
		}
	}
	total += len(part)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if total == 0 {
		return nil, io.EOF
	}
	if total > l.limit {
		l.line++
		return nil, l.tooLong()
	}
	l.long = append(l.long, part...)
	return l.finish(l.long)
}

func (l *lineReader) finish(line []byte) ([]byte, error) {
	l.line++
	if len(line) > l.limit {
		return nil, l.tooLong()
	}
	if l.line == 1 {
		line = trimMark(line)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

func (l *lineReader) tooLong() error {
	return &LineError{l.line, fmt.Sprintf("the line is longer than %d bytes", l.limit)}
}

// errorf returns a *LineError for the line returned last.
func (l *lineReader) errorf(format string, args ...any) error {
	return &LineError{l.line, fmt.Sprintf(format, args...)}
}

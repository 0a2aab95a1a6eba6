package command

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// input is what an import reads from: a file or standard input, unzipped if it
// is gzip, whatever its name.
type input struct {
	io.Reader        // the text
	text      *meter // counts the text
	source    *meter // counts what was read of the file
	size      int64  // of the file; -1 if nobody knows
	close     func() error
}

// meter counts the bytes that go through a reader. Its count may be asked for
// from any goroutine.
type meter struct {
	from  io.Reader
	count atomic.Int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.count.Add(int64(n))
	return n, err
}

// openInput opens the file name, or standard input for "-".
func (a *app) openInput(name string) (*input, error) {
	in := &input{size: -1, close: func() error { return nil }}
	in.source = &meter{from: a.In}
	if name != "-" {
		if err := exists(name); err != nil {
			return nil, err
		}
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
		in.source.from, in.close = file, file.Close
	}
	buffered := bufio.NewReaderSize(in.source, 1<<17)
	in.text = &meter{from: buffered}
	if magic, _ := buffered.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			in.close()
			return nil, fmt.Errorf("unzip %s: %w", inputName(name), err)
		}
		in.text.from = unzipped
	}
	in.Reader = in.text
	return in, nil
}

// inputName names an input in messages.
func inputName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}
